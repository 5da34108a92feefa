// What watches over a gateway asks it, without being anybody: whether it lives, and whether it can do its work.

import NIOHTTP1
import Solidus

struct Probes: Sendable {
    private static let prefix = "/-/"
    /// Whoever watches asks every few seconds, and there may be many: one read answers them all.
    private static let ageMax = Duration.seconds(2)
    /// Who watches does not wait as long as who wants an object.
    private static let patience = Duration.seconds(5)

    private let readiness: SharedAnswer<Bool>

    init(_ client: ObjectClient) {
        readiness = SharedAnswer(ageMax: Self.ageMax) { await Self.isAnswered(client) }
    }

    /// Whether a request is such a question.
    static func areAsked(by head: HTTPRequestHead) -> Bool { head.uri.hasPrefix(prefix) }

    /// Whether a quorum answers.
    var isReady: Bool { get async { await readiness.get().answer } }

    /// Nil for what is no such question.
    func respond(to head: HTTPRequestHead) async -> Response? {
        guard Self.areAsked(by: head) else { return nil }
        guard head.method == .GET || head.method == .HEAD else { return .text(.methodNotAllowed, "GET or HEAD\n") }
        switch head.path {
        case "/-/live": return .text(.ok, "live\n")
        case "/-/ready":
            return await isReady
                ? .text(.ok, "ready\n") : .text(.serviceUnavailable, "the cluster does not answer\n")
        default: return .text(.notFound, "there are /-/live and /-/ready\n")
        }
    }

    private static func isAnswered(_ client: ObjectClient) async -> Bool {
        await withTaskGroup(of: Bool.self) { group in
            group.addTask {
                do throws(ClientError) {
                    // Any object will do: what counts is that a quorum answers for it.
                    _ = try await client.gatewayRecord("ready")
                    return true
                } catch {
                    return false
                }
            }
            group.addTask {
                try? await Task.sleep(for: patience)
                return false
            }
            defer { group.cancelAll() }
            return await group.next() ?? false
        }
    }
}

extension HTTPRequestHead {
    /// What is asked for, without the query.
    var path: Substring { uri.prefix { $0 != "?" } }
}
