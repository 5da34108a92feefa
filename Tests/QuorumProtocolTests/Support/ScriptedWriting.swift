// A write, against servers that are no more than what a test has them say.

import Fingerprint
import QuorumProtocol

/// One write, run in order: every effect is done before the next input.
struct ScriptedWriting {
    let group: TestGroup
    var servers: [Position: ShownServer] = [:]
    /// Servers that do not answer.
    var silent: Set<Position> = []
    /// Servers that do not get the first FETCH-CERTIFICATE that is sent to them.
    var unreached: Set<Position> = []

    init(_ group: TestGroup, everywhere shown: ShownServer = ShownServer()) {
        self.group = group
        for server in group.servers { servers[server] = shown }
    }

    /// What came of a write, and what it asked for.
    struct End {
        let result: Result<WriteOutcome, OperationFailure>
        /// Who was asked for which version's certificate, in order.
        let fetched: [ScriptedReading.Fetch]
        /// What was sent to each server as proof of the version below.
        let justifications: [Position: Certificate]
        /// Who was sent the descriptor.
        let described: [Position]
        /// How often time passed before it ended.
        let waits: Int

        var outcome: WriteOutcome? { try? result.get() }
    }

    func write(_ text: String, by client: ClientID = .alice) -> End {
        var writer = Writer(
            parameters: group.parameters, key: .photo, writer: client, content: .deletion(modifiedMilliseconds: 0))
        let (descriptor, fragments) = group.value(.photo, Array(text.utf8))
        var fetched: [ScriptedReading.Fetch] = []
        var justifications: [Position: Certificate] = [:]
        var described: [Position] = []
        let inputs = [Writer.Input.start, .hedge, .retransmit, .retransmit, .deadline]
        for (waits, input) in inputs.enumerated() {
            var effects: [Writer.Effect] = []
            writer.handle(input, into: &effects)
            while !effects.isEmpty {
                let effect = effects.removeFirst()
                switch Writer.step(effect, key: .photo, verifier: group.verifier) {
                case .finish(let result):
                    return End(
                        result: result, fetched: fetched, justifications: justifications, described: described,
                        waits: waits)
                case .encode:
                    writer.handle(.encoded(descriptor, fragments: fragments), into: &effects)
                case .work(_, let work):
                    writer.handle(work(), into: &effects)
                case .startHedge:
                    break
                case .send(let server, let request):
                    switch request {
                    case .certificate(_, let timestamp):
                        fetched.append(ScriptedReading.Fetch(server: server, timestamp: timestamp, waits: waits))
                        if unreached.contains(server), fetched.count(where: { $0.server == server }) == 1 { continue }
                    case .prepare(let prepare): justifications[server] = prepare.justification
                    case .describe: described.append(server)
                    case .readTimestamp, .read, .commit, .stage, .discard, .fetch, .listHeld, .restate: break
                    }
                    guard !silent.contains(server), let reply = servers[server]?.answer(server, request, in: group)
                    else { continue }
                    writer.handle(.reply(server, reply), into: &effects)
                }
            }
        }
        preconditionFailure("a write does not end at its deadline")
    }
}
