// Who holds what of an object: the question that reads do not ask, since m right fragments are enough for them.

import ClusterFiles
import NIOCore
import QuorumProtocol
import QuorumTransport
import QuorumWire
import Synchronization

/// What one server holds of a version.
package enum Holding: Sendable {
    /// All that it should; whether it knows that the version is committed.
    case good(knowsCommit: Bool)
    /// The descriptor, and no fragments.
    case noFragments
    /// The fragments of some stripes of a large value.
    case someStripes(good: UInt64, missing: UInt64)
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

    /// How long the question for one stripe may take on average.
    private static let stripeMilliseconds = 250

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
        let probes = Mutex<[NodeID: StripeProbe]>([:])
        // Large values are asked for stripe by stripe.
        let stripeCount = Int(clamping: status.lengthBytes >> 20)
        do throws(TransportError) {
            answers = try await EveryServer<Holding>.ask(
                home, only: Set(placement.nodes),
                timeoutMilliseconds: timeoutMilliseconds + stripeCount * Self.stripeMilliseconds,
                first: Request.read(read).encoded(request: 1, to: placement.route)
            ) { node, frame in
                guard let position = placement.position(of: node),
                    let (number, reply) = try? Reply.decode(frame, parameters: parameters)
                else { return .giveUp("it sent something else than was asked") }
                let step = probes.withLock { probes in
                    var probe = probes[node] ?? StripeProbe(read, at: position, parameters: parameters)
                    defer { probes[node] = probe }
                    return probe.take(reply)
                }
                switch step {
                case .ask(let request): return .ask(request.encoded(request: number + 1, to: placement.route))
                case .finish(let holding): return .finish(holding)
                case .giveUp(let reason): return .giveUp(reason)
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
    init(of read: Read, at position: Position, _ claim: CommittedClaim, _ parts: HeldParts?) {
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
