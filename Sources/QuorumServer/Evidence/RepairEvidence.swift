// What a repair finds against those who have signed that they hold what cannot exist (docs/protocol.md, Evidence).

import ProtocolStorage
import QuorumProtocol

struct RepairEvidence: Sendable {
    let parameters: ClusterParameters
    let store: ProtocolStore
    let threads: ServerThreads
    let recorder: EvidenceRecorder

    /// Looks what others' fragments of a version say against the statements of its certificate, if it is committed here.
    func look(at fetched: FetchedVersion, of key: ObjectKey, _ timestamp: Timestamp) async {
        await inBackground {
            guard let statements = statements(on: timestamp, of: key) else { return }
            let finder = EvidenceFinder(parameters, key, timestamp, fetched.sealed)
            recorder.record(finder.stored(fetched.stripes, statements))
        }
    }

    /// The same of a stripe of a large value, whose descriptor is here.
    ///
    /// - Parameters:
    ///   - parts: what the stripe is for this server; nil for no block.
    ///   - page: the one that names it, where the descriptor does not.
    func look(
        at parts: RepairedParts?, _ stripe: RepairedStripe, _ outcome: FetchOutcome, page: StripePage?,
        of key: ObjectKey
    ) async {
        switch parts?.parts {
        case .stripe?, .goodStripe?: return
        default: break
        }
        await inBackground {
            guard let statements = statements(on: stripe.timestamp, of: key),
                case .held(let descriptor) = store.descriptor(of: stripe.timestamp, key: key),
                let part = descriptor.descriptor.staged?.parts.firstIndex(of: stripe.wanted.part)
            else { return }
            let place = Evidence.StripePlace(part: UInt16(part), stripe: stripe.wanted.stripe)
            let finder = EvidenceFinder(parameters, key, stripe.timestamp, descriptor)
            recorder.record(
                finder.stored(
                    place, page: page, crossChecksum: outcome.crossChecksum, outcome.fragments, statements))
        }
    }

    private func statements(on timestamp: Timestamp, of key: ObjectKey) -> [SignedStatement]? {
        guard case .held(let record) = store.record(of: key), let committed = record.committed,
            committed.timestamp == timestamp
        else { return nil }
        return committed.certificate.statements
    }

    /// On a thread that may wait for the disk.
    private func inBackground(_ work: @escaping @Sendable () -> Void) async {
        await withCheckedContinuation { continuation in
            threads.backgroundTurns.submit(for: nil) {
                work()
                continuation.resume()
            }
        }
    }
}
