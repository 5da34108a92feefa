// Rules by which browsers let the pages of other sites use a bucket: kept with it, and answered by.

import NIOHTTP1
import Solidus

extension CORSRule {
    static let countMax = 100

    init(_ element: XMLElement) throws(S3Error) {
        id = element.value("ID")
        origins = element.all("AllowedOrigin").map(\.trimmed)
        methods = element.all("AllowedMethod").map(\.trimmed)
        headers = element.all("AllowedHeader").map { $0.trimmed.lowercased() }
        exposed = element.all("ExposeHeader").map(\.trimmed)
        maxAgeSeconds = element.value("MaxAgeSeconds").flatMap { Int($0) }
        guard !origins.isEmpty, !methods.isEmpty else { throw .malformedXML }
        for method in methods where !["GET", "PUT", "POST", "DELETE", "HEAD"].contains(method) {
            throw S3Error(
                .invalidRequest, "Found unsupported HTTP method in CORS config. Unsupported method is \(method)")
        }
        for pattern in origins + headers where pattern.count(where: { $0 == "*" }) > 1 {
            throw S3Error(.invalidRequest, "'\(pattern)' can not have more than one wildcard.")
        }
        for name in exposed where name.contains("*") || !name.utf8.allSatisfy({ (0x21..<0x7F).contains($0) }) {
            throw S3Error(.invalidRequest, "ExposeHeader '\(name)' is no header's name.")
        }
    }

    func write(to xml: inout XMLWriter) {
        xml.element("CORSRule") { xml in
            if let id { xml.text("ID", id) }
            for origin in origins { xml.text("AllowedOrigin", origin) }
            for method in methods { xml.text("AllowedMethod", method) }
            for header in headers { xml.text("AllowedHeader", header) }
            for header in exposed { xml.text("ExposeHeader", header) }
            if let maxAgeSeconds { xml.number("MaxAgeSeconds", maxAgeSeconds) }
        }
    }

    func allows(origin: String, method: String, headers wanted: [String]) -> Bool {
        methods.contains(method) && origins.contains { Self.matches($0, origin) }
            && wanted.allSatisfy { name in headers.contains { Self.matches($0, name.lowercased()) } }
    }

    /// A pattern may have one star.
    static func matches(_ pattern: String, _ text: String) -> Bool {
        guard let star = pattern.firstIndex(of: "*") else { return pattern == text }
        let (before, after) = (pattern[..<star], pattern[pattern.index(after: star)...])
        return text.utf8.count >= before.utf8.count + after.utf8.count && text.hasPrefix(before)
            && text.hasSuffix(after)
    }

    /// What a browser is told.
    func answer(origin: String) -> [(name: String, value: String)] {
        var answer: [(name: String, value: String)] = []
        if origins.contains("*") {
            answer.append(("Access-Control-Allow-Origin", "*"))
        } else {
            answer.append(("Access-Control-Allow-Origin", origin))
            answer.append(("Access-Control-Allow-Credentials", "true"))
        }
        if !exposed.isEmpty { answer.append(("Access-Control-Expose-Headers", exposed.joined(separator: ", "))) }
        if let maxAgeSeconds { answer.append(("Access-Control-Max-Age", "\(maxAgeSeconds)")) }
        return answer
    }
}

extension Gateway {
    static let vary: (name: String, value: String) =
        ("Vary", "Origin, Access-Control-Request-Headers, Access-Control-Request-Method")

    func getBucketCORS(_ request: S3Request) async throws -> Response {
        try await requireBucket(request.bucket)
        let rules = try await buckets.corsRules(of: request.bucket)
        guard !rules.isEmpty else {
            throw S3Error(
                .noSuchCORSConfiguration, "The CORS configuration does not exist", [("BucketName", request.bucket)])
        }
        return .xml { xml in xml.root("CORSConfiguration") { xml in for rule in rules { rule.write(to: &xml) } } }
    }

    func putBucketCORS(_ request: S3Request, _ body: RequestBody) async throws -> Response {
        let root = try XMLReader.read(try await document(request, body))
        let elements = root.all("CORSRule")
        guard root.name == "CORSConfiguration", (1...CORSRule.countMax).contains(elements.count) else {
            throw S3Error.malformedXML
        }
        let rules = try elements.map { element throws(S3Error) in try CORSRule(element) }
        try await requireBucket(request.bucket)
        try await buckets.setCORSRules(rules, of: request.bucket)
        return Response()
    }

    func deleteBucketCORS(_ request: S3Request) async throws -> Response {
        try await requireBucket(request.bucket)
        try await buckets.setCORSRules([], of: request.bucket)
        return Response(.noContent)
    }

    /// Answers a browser that asks before it asks.
    func preflight(_ resource: Resource, _ headers: RequestHeaders) async throws -> Response {
        let preflight = try Preflight(headers)
        guard let bucket = resource.bucket else { throw Preflight.refusal }
        return try preflight.answer(by: try await buckets.corsRules(of: bucket))
    }

    /// The answer with what a browser has to know to show it to the page that asked.
    func withCORS(
        _ response: Response, _ method: HTTPMethod, _ headers: RequestHeaders, _ resource: Resource
    ) async throws -> Response {
        guard let origin = headers["origin"], let bucket = resource.bucket else { return response }
        guard !response.headers.contains(where: { $0.name == "Access-Control-Allow-Origin" }) else { return response }
        let rules = try await buckets.corsRules(of: bucket)
        guard !rules.isEmpty else { return response }
        var response = response
        let method = headers["access-control-request-method"] ?? method.rawValue
        if let rule = rules.first(where: { rule in
            rule.origins.contains { CORSRule.matches($0, origin) } && rule.methods.contains(method)
        }) {
            response.headers += rule.answer(origin: origin)
        }
        response.headers.append(Self.vary)
        return response
    }
}

/// What a browser asks before it sends a page's request.
private struct Preflight {
    let origin: String
    let method: String
    let wanted: [String]

    init(_ headers: RequestHeaders) throws(S3Error) {
        guard let origin = headers["origin"], let method = headers["access-control-request-method"] else {
            throw S3Error(
                .invalidRequest,
                "Insufficient information. Origin request header and Access-Control-Request-Method are needed.")
        }
        self.origin = origin
        self.method = method
        wanted = (headers["access-control-request-headers"] ?? "").split(separator: ",").map { name in
            name.filter { $0 != " " }
        }
    }

    func answer(by rules: [CORSRule]) throws(S3Error) -> Response {
        guard let rule = rules.first(where: { $0.allows(origin: origin, method: method, headers: wanted) }) else {
            throw Self.refusal
        }
        var answer = rule.answer(origin: origin)
        answer.append(("Access-Control-Allow-Methods", rule.methods.joined(separator: ", ")))
        if !wanted.isEmpty { answer.append(("Access-Control-Allow-Headers", wanted.joined(separator: ", "))) }
        return Response(headers: answer + [Gateway.vary])
    }

    static let refusal = S3Error(
        .accessDenied,
        "CORSResponse: This CORS request is not allowed. This is usually because the evalution of "
            + "Origin, request method / Access-Control-Request-Method or Access-Control-Request-Headers are not "
            + "whitelisted by the resource's CORS spec.")
}
