// What a gateway tells those who operate it, on an address of its own: metrics for a monitoring system, and a page for
// people. They tell of servers and loads, of no object and no access key.

import Crypto
import NIOHTTP1

struct OperatorPages: RequestHandler {
    let probes: Probes
    let status: StatusSource
    let metrics: @Sendable () -> String

    func respond(to head: HTTPRequestHead, _ body: RequestBody, _ context: RequestContext) async -> Response {
        guard head.method == .GET || head.method == .HEAD else { return .text(.methodNotAllowed, "GET or HEAD\n") }
        switch head.path {
        case "/metrics":
            return Self.response("text/plain; version=0.0.4; charset=utf-8", Array(metrics().utf8))
        case "/-/status":
            return Self.response("text/html; charset=utf-8", StatusPage.document, policy: StatusPage.policy)
        case "/-/status.json":
            return Self.response("application/json", await status.status().json)
        case "/":
            return Response(.seeOther, headers: [("Location", "/-/status")])
        default:
            if let response = await probes.respond(to: head) { return response }
            return .text(.notFound, "there are /metrics, /-/status, /-/status.json, /-/live and /-/ready\n")
        }
    }

    private static func response(
        _ type: String, _ bytes: [UInt8], policy: String = "default-src 'none'; frame-ancestors 'none'"
    ) -> Response {
        var response = Response(headers: [
            ("Content-Type", type), ("Content-Security-Policy", policy), ("X-Content-Type-Options", "nosniff"),
            ("Referrer-Policy", "no-referrer"), ("Cache-Control", "no-store"),
        ])
        response.body = .bytes(bytes)
        return response
    }

    func answered(_ head: HTTPRequestHead, _ context: RequestContext, _ response: Response, _ end: AnswerEnd) {}
}

/// A page that is the same for everybody; what it shows it fetches.
enum StatusPage {
    private static let style = text(PackageResources.page_css)
    private static let script = text(PackageResources.page_js)

    static let document: [UInt8] = Array(
        text(PackageResources.page_html).replacing("/*STYLE*/", with: style).replacing("/*SCRIPT*/", with: script).utf8)

    /// Nothing runs or is loaded but what stands in the page, and the status.
    static let policy =
        "default-src 'none'; style-src '\(hash(style))'; script-src '\(hash(script))'; connect-src 'self'; "
        + "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

    private static func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

    private static func hash(_ text: String) -> String {
        "sha256-\(Base64.text(SHA256.hash(data: Array(text.utf8))))"
    }
}
