// What watches over a gateway asks it, without being anybody: whether it lives, and whether it can do its work.

import NIOHTTP1
import Solidus

enum Probes {
    /// Nil for what is no such question.
    static func respond(to head: HTTPRequestHead, _ client: ObjectClient) async -> Response? {
        guard head.uri.hasPrefix("/-/") else { return nil }
        guard head.method == .GET || head.method == .HEAD else { return .text(.methodNotAllowed, "GET or HEAD\n") }
        switch head.uri.prefix(while: { $0 != "?" }) {
        case "/-/live": return .text(.ok, "live\n")
        case "/-/ready":
            do throws(ClientError) {
                // Any object will do: what counts is that a quorum answers for it.
                _ = try await client.gatewayRecord("ready")
                return .text(.ok, "ready\n")
            } catch {
                return .text(.serviceUnavailable, "the cluster does not answer\n")
            }
        default: return .text(.notFound, "there are /-/live and /-/ready\n")
        }
    }
}
