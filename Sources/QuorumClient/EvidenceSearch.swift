// What the servers of an object send of it that proves that one of them lied (docs/protocol.md, Evidence). Reads are
// content with what is right; this looks at what is wrong.

import ClusterFiles
import ErasureCode
import Fingerprint
import NIOCore
import QuorumProtocol
import QuorumTransport
import QuorumWire
import Synchronization

/// A search for evidence at one version of one object.
package enum EvidenceSearch {
    private struct Shown: Sendable {
        var parts: HeldParts?
        var claim = CommittedClaim(sound: nil)
        var certificate: Certificate?
    }

    /// Asks every server of the object for its fragments of the version, its claim and its certificate. Large values,
    /// whose stripes are not sent with the descriptor, are not looked at.
    ///
    /// - Returns: what convicts by this client's list of keys.
    /// - Throws: `.identity`.
    package static func ask(
        _ key: ObjectKey, _ timestamp: Timestamp, _ home: ClientHome, timeoutMilliseconds: Int
    ) async throws(ClientError) -> [Evidence] {
        let parameters = home.cluster.parameters
        let placement = parameters.placement(of: key)
        let read = Request.read(Read(key: key, version: timestamp, portion: .fragments))
        let fetch = Request.certificate(key, timestamp)
        let shown = Mutex<[NodeID: Shown]>([:])
        let answers: [NodeID: ServerAnswer<Shown>]
        do throws(TransportError) {
            answers = try await EveryServer<Shown>.ask(
                home, only: Set(placement.nodes), timeoutMilliseconds: timeoutMilliseconds,
                first: read.encoded(request: 1, to: placement.route)
            ) { node, frame in
                guard let (number, reply) = try? Reply.decode(frame, parameters: parameters) else {
                    return .giveUp("it sent something else than was asked")
                }
                switch reply {
                case .version(let claim, let parts):
                    shown.withLock { $0[node] = Shown(parts: parts, claim: claim) }
                    return .ask(fetch.encoded(request: number + 1, to: placement.route))
                case .certificate(_, let certificate):
                    var answer = shown.withLock { $0[node] } ?? Shown()
                    answer.certificate = certificate
                    return .finish(answer)
                default: return .giveUp("it sent something else than was asked")
                }
            }
        } catch {
            throw .identity(error.description)
        }
        let told = placement.nodes.compactMap { node in
            if case .answer(let answer)? = answers[node] { (node, answer) } else { nil }
        }
        return found(told, key, timestamp, home.cluster)
    }

    private static func found(
        _ told: [(node: NodeID, shown: Shown)], _ key: ObjectKey, _ timestamp: Timestamp, _ cluster: ClusterDescription
    ) -> [Evidence] {
        let parameters = cluster.parameters
        let placement = parameters.placement(of: key)
        let parts = told.compactMap { node, shown in
            shown.parts.flatMap { parts in
                parts.timestamp == timestamp && parts.descriptor.digest == timestamp.digest
                    && parts.descriptor.descriptor.key == key ? (node: node, parts: parts) : nil
            }
        }
        guard let descriptor = parts.first?.parts.descriptor else { return [] }
        let need = parameters.quorums.dataFragmentCount
        let stripes = descriptor.descriptor.stripes.enumerated().map { index, crossChecksum in
            let good = parts.compactMap { node, parts -> VerifiedFragment? in
                guard let position = placement.position(of: node), let fragments = parts.fragments,
                    index < fragments.count
                else { return nil }
                return try? crossChecksum.verify(fragments[index], at: position.fragmentIndex)
            }
            return Array(good.prefix(need))
        }
        guard stripes.allSatisfy({ $0.count == need }) else { return [] }
        let finder = EvidenceFinder(parameters, key, timestamp, descriptor)
        let certified = told.compactMap { $0.shown.certificate }.filter { $0.timestamp == timestamp }
        let poisonous = told.flatMap { $0.shown.claim.poisonous }.filter { $0.timestamp == timestamp }
        let verifier = StatementVerifier(
            history: parameters.history, keys: cluster.lists.keys.contents.statementKeys)
        var names: Set<String> = []
        let evidence =
            finder.stored(stripes, certified.flatMap(\.statements))
            + finder.poisonous(stripes, poisonous.flatMap(\.statements))
        return evidence.filter { piece in
            (try? piece.verdict(parameters, verifier)) != nil && names.insert(piece.name).inserted
        }
    }
}
