// One client's operations against servers in memory: the machines, the codings and the checks of real ones, one after
// the other on one thread.

import ErasureCode
import Fingerprint
import QuorumProtocol
import QuorumWire

/// Runs operations to their end.
package final class InProcessClient {
    private let group: InProcessGroup
    private let verifier: StatementVerifier
    private var requestNumber: UInt64 = 0

    package init(_ group: InProcessGroup) {
        self.group = group
        verifier = group.makeVerifier()
    }

    /// Writes an object's first version.
    package func put(_ value: SharedBytes, number: Int) throws {
        let key = group.key(number)
        let writer = Writer(
            parameters: group.parameters, key: key, writer: group.client,
            content: .value(value, ObjectMetadata(), salt: VersionSalt(high: 0, low: UInt64(number))))
        guard case .success? = try run(writer, key: key) else {
            preconditionFailure("a write among correct servers failed")
        }
    }

    /// Reads an object and decodes its value.
    package func get(number: Int) throws -> SharedBytes {
        let key = group.key(number)
        let reader = Reader(
            parameters: group.parameters, key: key, wantsValue: true, preference: group.parameters.quorums.positions)
        guard case .success(let outcome)? = try run(reader, key: key),
            case .version(_, let descriptor, let stripes) = outcome.found, let fragments = stripes.first
        else { preconditionFailure("a read among correct servers failed") }
        return try descriptor.descriptor.stripes[0].decode(fragments)
    }

    private func run<Machine: OperationMachine>(
        _ machine: Machine, key: ObjectKey
    ) throws -> Result<Machine.Outcome, OperationFailure>? {
        var machine = machine
        var inputs = [Machine.start]
        var result: Result<Machine.Outcome, OperationFailure>?
        while !inputs.isEmpty {
            var effects: [Machine.Effect] = []
            machine.handle(inputs.removeFirst(), into: &effects)
            for effect in effects {
                switch Machine.step(effect, key: key, verifier: verifier) {
                case .send(let position, let request):
                    inputs.append(Machine.reply(try ask(request, at: position, of: machine.placement), from: position))
                case .work(_, let work), .encode(let work): inputs.append(work())
                case .startHedge: break
                case .finish(let outcome): result = outcome
                }
            }
        }
        return result
    }

    private func ask(_ request: Request, at position: Position, of placement: Placement) throws -> Reply {
        requestNumber += 1
        let server = group.servers[Int(placement.node(at: position).rawValue)]
        let answer = try server.answer(
            request.encoded(request: requestNumber, to: placement.route).frame, from: group.client)
        return try Reply.decode(answer, parameters: group.parameters).reply
    }
}
