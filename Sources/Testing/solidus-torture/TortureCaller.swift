// One client's way to the gateways.

import Foundation
import S3Wire

/// An answer and its body.
struct TortureAnswer: CustomStringConvertible {
    let head: S3Answer
    let body: [UInt8]
    /// Whether an earlier call that asked for the same was left without an answer.
    var mayBeDone = false

    var status: Int { head.status }
    var text: String { String(decoding: body, as: UTF8.self) }
    var description: String { "status \(status), \(element("Code") ?? "no code"): \(element("Message") ?? "")" }

    func element(_ name: String) -> String? { elements(name).first }

    func elements(_ name: String) -> [String] {
        text.components(separatedBy: "<\(name)>").dropFirst().compactMap {
            $0.components(separatedBy: "</\(name)>").first
        }
    }
}

/// For one thread.
final class TortureCaller {
    private static let insistingPauseMicroseconds: UInt32 = 200_000
    private static let insistingCountMax = 40

    let client: Int
    private let workload: GatewayWorkload
    private let callers: [S3Caller]
    /// Which gateway it goes to.
    private var current: Int

    init(_ workload: GatewayWorkload, _ client: Int) {
        self.workload = workload
        self.client = client
        callers = workload.ports.map {
            S3Caller(workload.identity, port: $0, timeoutSeconds: workload.timeoutSeconds)
        }
        current = client % callers.count
        for caller in callers { caller.connected = { [workload, client] in workload.connected(client, $0) } }
    }

    /// Calls the gateway that answered last; the next call goes to another one when this has no answer.
    func call(
        _ call: S3Call, body: [UInt8] = [], payloadHash: String = S3Call.unsignedPayload
    ) throws(S3WireError) -> TortureAnswer {
        var received: [UInt8] = []
        let outcome = body.withUnsafeBytes { bytes in
            Result { () throws(S3WireError) in
                try callers[current].call(call, body: bytes, payloadHash: payloadHash) { received += $0 }
            }
        }
        do throws(S3WireError) {
            return TortureAnswer(head: try outcome.get(), body: received)
        } catch {
            current = (current + 1) % callers.count
            throw error
        }
    }

    /// Asks the same gateway until it answers: what it began no other one knows. It may have been killed when it had
    /// done it, and what is done is not to be done twice.
    func insist(_ wanted: S3Call, body: [UInt8]) throws(S3WireError) -> TortureAnswer {
        let gateway = current
        let before = workload.givenUp(client)
        var mayBeDone = false
        for _ in 0..<Self.insistingCountMax {
            current = gateway
            do throws(S3WireError) {
                var answer = try call(wanted, body: body)
                answer.mayBeDone = mayBeDone
                if answer.status / 100 != 5 { return answer }
                mayBeDone = true
            } catch {
                if case .lost = error { mayBeDone = true }
            }
            guard workload.givenUp(client) == before else { break }
            usleep(Self.insistingPauseMicroseconds)
        }
        throw mayBeDone ? .lost("the gateway did not complete the upload") : .notSent("the gateway was gone")
    }
}
