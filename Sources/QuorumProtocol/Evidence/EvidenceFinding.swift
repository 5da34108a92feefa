// Making evidence of what somebody has met who reads: a stripe's good fragments, and others' signed statements. What is
// made here is judged before anybody keeps it, so nothing that comes in has to be true.

import ErasureCode
import Fingerprint

/// What somebody knows who has read a version.
package struct EvidenceFinder: Sendable {
    private let parameters: ClusterParameters
    private let key: ObjectKey
    private let timestamp: Timestamp
    private let descriptor: SealedDescriptor

    package init(
        _ parameters: ClusterParameters, _ key: ObjectKey, _ timestamp: Timestamp, _ descriptor: SealedDescriptor
    ) {
        self.parameters = parameters
        self.key = key
        self.timestamp = timestamp
        self.descriptor = descriptor
    }

    /// What a stripe's m good fragments say against those who have signed *stored*.
    ///
    /// - Parameters:
    ///   - page: the page that names the stripe, of a version whose descriptor does not.
    ///   - statements: on this version, such as those of its certificate.
    package func stored(
        _ place: Evidence.StripePlace, page: StripePage? = nil, crossChecksum: CrossChecksum,
        _ fragments: [VerifiedFragment], _ statements: [SignedStatement]
    ) -> [Evidence] {
        let mode = parameters.mode
        guard mode == .fingerprint || mode == .full, let block = try? crossChecksum.decode(fragments),
            case .unsound(let good)? = try? StripeFinding(crossChecksum, block)
        else { return [] }
        let placement = parameters.placement(of: key)
        return statements.filter { $0.claim == .stored }.compactMap { statement in
            guard let position = placement.position(of: statement.node), mode == .full || !good.contains(position)
            else { return nil }
            let isNamed = descriptor.descriptor.staged.map { $0.parts.contains { !$0.named.isEmpty } } ?? true
            return evidence(
                statement,
                .void(
                    descriptor: descriptor.bytes, place, page: isNamed ? [] : page?.bytes(parameters) ?? [],
                    block: block.array))
        }
    }

    /// The same of a version whose fragments go with its descriptor, of each of whose stripes there are m good ones.
    package func stored(_ stripes: [[VerifiedFragment]], _ statements: [SignedStatement]) -> [Evidence] {
        for (index, (crossChecksum, fragments)) in zip(descriptor.descriptor.stripes, stripes).enumerated() {
            let place = Evidence.StripePlace(stripe: UInt32(index))
            let found = stored(place, crossChecksum: crossChecksum, fragments, statements)
            if !found.isEmpty { return found }
        }
        return []
    }

    /// What m fragments of each stripe say against those who have signed *poisonous*, whose fragments go with the
    /// descriptor. In modes in which nobody signs that, the statements alone say it.
    package func poisonous(_ stripes: [[VerifiedFragment]], _ statements: [SignedStatement]) -> [Evidence] {
        let accused = statements.filter { $0.claim == .poisonous }
        guard !accused.isEmpty else { return [] }
        guard parameters.mode.verifiesLater else { return accused.map { evidence($0, .foreignClaim) } }
        let named = descriptor.descriptor.namedStripes
        guard descriptor.descriptor.staged == nil, stripes.count == named.count else { return [] }
        var blocks: [[UInt8]] = []
        for (crossChecksum, fragments) in zip(named, stripes) {
            guard let block = try? crossChecksum.decode(fragments), crossChecksum.matchesEncoding(of: block) else {
                return []
            }
            blocks.append(block.array)
        }
        return accused.map { evidence($0, .sound(descriptor: descriptor.bytes, blocks: blocks)) }
    }

    private func evidence(_ statement: SignedStatement, _ proof: Evidence.Proof) -> Evidence {
        Evidence(statement, on: timestamp, of: key, in: parameters.configuration, proof)
    }
}
