// Who holds what of an object: the question that reads do not ask, since m right fragments are enough for them.

import ClusterFiles
import NIOCore
import QuorumProtocol
import QuorumTransport
import QuorumWire

/// What one server holds of a version.
package enum Holding: Sendable {
    /// All that it should; whether it knows that the version is committed.
    case good(knowsCommit: Bool)
    /// The descriptor, and no fragments.
    case noFragments
    /// Nothing of the version; the highest one that it names as committed.
    case nothing(highest: Timestamp?)
    /// Something that is not what the version's descriptor says; a correct server sends no such thing.
    case wrong(String)
}

/// What all servers of an object hold of one version.
package struct ObjectHoldings: Sendable {
    package typealias Answer = ServerAnswer<Holding>

    package let status: ObjectStatus
    /// In the order of the fragments' positions.
    package let servers: [(node: NodeID, answer: Answer)]

    /// How many servers hold what they should.
    package var goodCount: Int {
        servers.count { server in
            if case .answer(.good) = server.answer { true } else { false }
        }
    }

    /// Reads what is to know of the object, as anybody does, then has every server of its group send its fragments of
    /// that version. A server that finds its own rotten notes that it has lost them.
    ///
    /// - Throws: as `ObjectClient.head`; `.identity`.
    package static func ask(
        _ key: ObjectKey, _ home: ClientHome, by client: ObjectClient, timeoutMilliseconds: Int
    ) async throws(ClientError) -> ObjectHoldings {
        let status = try await client.head(key)
        let parameters = home.cluster.parameters
        let placement = parameters.placement(of: key)
        let read = Read(key: key, version: status.timestamp, portion: .fragments)
        let answers: [NodeID: Answer]
        do throws(TransportError) {
            answers = try await EveryServer<Holding>.ask(
                home, only: Set(placement.nodes), timeoutMilliseconds: timeoutMilliseconds,
                first: Request.read(read).encoded(request: 1, to: placement.route)
            ) { node, frame in
                switch try? Reply.decode(frame, parameters: parameters) {
                case (_, .version(let claim, let parts))?:
                    guard let position = placement.position(of: node) else { return .giveUp("it is not asked") }
                    return .finish(Holding(of: read, at: position, claim, parts))
                case (_, .refused(let refusal))?: return .giveUp("it refused: \(refusal)")
                default: return .giveUp("it sent something else than was asked")
                }
            }
        } catch {
            throw .identity(error.description)
        }
        return ObjectHoldings(
            status: status,
            servers: placement.nodes.map { ($0, answers[$0] ?? .silent("it was not asked")) })
    }
}

extension Holding {
    /// What a server's answer shows.
    fileprivate init(of read: Read, at position: Position, _ claim: CommittedClaim, _ parts: HeldParts?) {
        guard let parts else {
            self = .nothing(highest: claim.timestamp)
            return
        }
        guard parts.timestamp == read.version, parts.descriptor.digest == parts.timestamp.digest,
            parts.descriptor.descriptor.key == read.key
        else {
            self = .wrong("it sent another version's")
            return
        }
        guard let fragments = parts.fragments else {
            self = .noFragments
            return
        }
        let stripes = parts.descriptor.descriptor.stripes
        guard parts.position == position, fragments.count == stripes.count else {
            self = .wrong("it sent other fragments than its own")
            return
        }
        for (stripe, fragment) in zip(stripes, fragments) {
            do {
                _ = try stripe.verify(fragment, at: position.fragmentIndex)
            } catch {
                self = .wrong("\(error)")
                return
            }
        }
        self = .good(knowsCommit: claim.names(parts.timestamp))
    }
}
