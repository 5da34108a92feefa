// Judging evidence with a cluster's configuration and list of keys, without asking anybody (docs/protocol.md, Evidence).
// What a file says of itself is checked one after the other; whatever is left out here would convict an honest server.

import ErasureCode
import Fingerprint

/// What a piece of evidence proves: whoever held the key of this life of the server signed what is false.
package struct EvidenceVerdict: Hashable, Sendable {
    package let kind: EvidenceKind
    package let node: NodeID
    package let incarnation: Incarnation
    /// Whether the list of keys names a later life of the server: this key's statements count no more.
    package let isKeyRetired: Bool
    package let key: ObjectKey
    package let timestamp: Timestamp
    package let claim: Claim
}

/// Why a piece of evidence proves nothing.
package enum EvidenceFault: Error, Equatable, Sendable, CustomStringConvertible {
    case otherCluster(ClusterID)
    /// It is known neither what the epoch's groups are nor who signed; somebody else may know.
    case unknownEpoch(UInt64)
    case otherConfiguration
    /// In the mode `none` nothing is signed.
    case unsigned
    /// The signer's key is not known, the signature is not its own, or it is no member of the object's group.
    case statement(CertificateError)
    /// It is of the group that it should be of.
    case properGroup(GroupID)
    /// Statements of this kind are no lie in this mode: nobody has verified what they do not speak of.
    case unprovable(EvidenceKind, VerificationMode)
    /// It says something else than what this kind of evidence is about.
    case otherClaim(Claim)
    /// The descriptor is not the version's.
    case otherDescriptor
    case descriptor(DescriptorError)
    /// The descriptor is another object's.
    case otherObject
    /// The version has no such stripe.
    case noStripe
    case malformedPage(MalformedEncoding)
    /// The page is none that the descriptor names.
    case otherPage
    /// Of the block's fragments fewer than m are good, so it says nothing of the version.
    case otherBlock(goodCount: Int, neededCount: Int)
    /// The signer's fragment of this block is good.
    case goodFragment
    /// Not as many blocks as the version has stripes.
    case blockCount(Int, expected: Int)
    /// A stripe's hashes are not those of the block's encoding.
    case notSound(stripe: Int)

    package var description: String {
        switch self {
        case .otherCluster(let cluster): "it is of another cluster, \(cluster)"
        case .unknownEpoch(let epoch): "epoch \(epoch) is not known here"
        case .otherConfiguration: "its epoch has another configuration here"
        case .unsigned: "nothing is signed in this cluster's mode"
        case .statement(let error): "\(error)"
        case .properGroup(let group): "the statement is of \(group), as it should be"
        case .unprovable(let kind, let mode): "no evidence of the kind \(kind) is possible in the mode \(mode)"
        case .otherClaim(let claim): "the statement says \(claim), which this does not contradict"
        case .otherDescriptor: "the description is not the version's"
        case .descriptor(let error): "\(error)"
        case .otherObject: "the description is another object's"
        case .noStripe: "the version has no such stripe"
        case .malformedPage(let error): "the page that names the stripe makes no sense: \(error)"
        case .otherPage: "the page that names the stripe is not the version's"
        case .otherBlock(let good, let needed):
            "the block has \(good) good fragments of the stripe, and \(needed) are needed"
        case .goodFragment: "the server's fragment is good"
        case .blockCount(let count, let expected): "\(count) stripes are shown of \(expected)"
        case .notSound(let stripe): "stripe \(stripe) is no encoding of the block that is shown"
        }
    }

    /// Whether somebody who knows more may find a proof in it.
    package var isIgnorance: Bool {
        switch self {
        case .unknownEpoch, .otherConfiguration: true
        case .statement(let error): error.isIgnorance
        default: false
        }
    }
}

extension Evidence {
    /// Judges it.
    ///
    /// - Parameters:
    ///   - parameters: the cluster's, with all epochs that are known.
    ///   - verifier: knows the keys of all lives of the cluster's servers.
    /// - Throws: why it proves nothing.
    package func verdict(
        _ parameters: ClusterParameters, _ verifier: StatementVerifier
    ) throws(EvidenceFault) -> EvidenceVerdict {
        guard cluster == parameters.history.cluster else { throw .otherCluster(cluster) }
        guard let configuration = parameters.history.configuration(of: epoch) else { throw .unknownEpoch(epoch) }
        guard configurationDigest == configuration.digest else { throw .otherConfiguration }
        guard configuration.mode.isSigned else { throw .unsigned }
        let placement = Placement(key, in: configuration)
        let scope = StatementScope(cluster: cluster, epoch: epoch, group: group, mode: configuration.mode)
        do {
            try verifier.verifySignature(of: statement, on: timestamp, of: key, in: scope)
        } catch {
            throw .statement(error)
        }
        if case .foreignGroup = proof {
            let isOwn = group == placement.group.id && placement.group.contains(statement.node)
            if isOwn { throw .properGroup(group) }
        } else {
            guard group == placement.group.id else {
                throw .statement(.foreignGroup(group, expected: placement.group.id))
            }
            guard let position = placement.position(of: statement.node) else {
                throw .statement(.unknownServer(statement.node))
            }
            let judged = ClusterParameters(configuration, limits: parameters.limits)
            try judge(of: position, judged)
        }
        return EvidenceVerdict(
            kind: kind, node: statement.node, incarnation: statement.incarnation,
            isKeyRetired: verifier.fences.incarnation(of: statement.node) > statement.incarnation, key: key,
            timestamp: timestamp, claim: statement.claim)
    }

    /// What the proof says against the server at this position.
    private func judge(of position: Position, _ parameters: ClusterParameters) throws(EvidenceFault) {
        switch proof {
        case .void(let descriptor, let place, let page, let block):
            // In the other modes *stored* says no more than that the fragment's hash was right.
            guard parameters.mode == .fingerprint || parameters.mode == .full else {
                throw .unprovable(kind, parameters.mode)
            }
            guard statement.claim == .stored else { throw .otherClaim(statement.claim) }
            let sealed = try sealed(descriptor, parameters)
            let crossChecksum = try sealed.descriptor.crossChecksum(at: place, page: page, parameters)
            switch try StripeFinding(crossChecksum, SharedBytes(block)) {
            case .sound: throw .goodFragment
            case .unsound(let good):
                // A server that encodes the whole block before it signs has none of such a version.
                if parameters.mode == .fingerprint, good.contains(position) { throw .goodFragment }
            }
        case .sound(let descriptor, let blocks):
            guard parameters.mode.verifiesLater else { throw .unprovable(kind, parameters.mode) }
            guard statement.claim == .poisonous else { throw .otherClaim(statement.claim) }
            let sealed = try sealed(descriptor, parameters)
            let stripes = sealed.descriptor.namedStripes
            guard blocks.count == stripes.count else { throw .blockCount(blocks.count, expected: stripes.count) }
            for (index, (stripe, block)) in zip(stripes, blocks).enumerated() {
                guard stripe.matchesEncoding(of: SharedBytes(block)) else { throw .notSound(stripe: index) }
            }
        case .foreignClaim:
            guard !parameters.mode.verifiesLater else { throw .unprovable(kind, parameters.mode) }
            guard statement.claim == .poisonous else { throw .otherClaim(statement.claim) }
        case .foreignGroup: break
        }
    }

    private func sealed(
        _ bytes: [UInt8], _ parameters: ClusterParameters
    ) throws(EvidenceFault) -> SealedDescriptor {
        guard Digest256.sha256(bytes) == timestamp.digest else { throw .otherDescriptor }
        let sealed: SealedDescriptor
        do throws(DescriptorError) {
            sealed = try SealedDescriptor(decoding: bytes, parameters: parameters)
        } catch {
            throw .descriptor(error)
        }
        guard sealed.descriptor.key == key else { throw .otherObject }
        return sealed
    }
}

/// What a block says of a stripe's cross-checksum.
enum StripeFinding {
    /// All that it commits to is this block's.
    case sound
    /// The fragments at these positions are good, at least m of them, and the others are not.
    case unsound(good: PositionSet)

    /// - Throws: `.otherBlock` when the block is none that m good fragments decode to.
    init(_ crossChecksum: CrossChecksum, _ block: SharedBytes) throws(EvidenceFault) {
        let needed = crossChecksum.code.dataFragmentCount
        guard block.count == crossChecksum.blockSizeBytes else {
            throw .otherBlock(goodCount: 0, neededCount: needed)
        }
        let fragments = crossChecksum.code.encode(block: block).enumerated().map {
            (index: FragmentIndex(UInt8($0)), bytes: $1)
        }
        var good: PositionSet = []
        for (place, result) in crossChecksum.verify(fragments).enumerated() {
            if case .success = result { good.insert(Position(UInt8(place))) }
        }
        guard good.count >= needed else { throw .otherBlock(goodCount: good.count, neededCount: needed) }
        self = good.count == crossChecksum.code.fragmentCount ? .sound : .unsound(good: good)
    }
}

extension Descriptor {
    /// The cross-checksums of all stripes, where the descriptor names them itself.
    var namedStripes: [CrossChecksum] { staged?.parts.flatMap(\.named) ?? stripes }

    fileprivate func crossChecksum(
        at place: Evidence.StripePlace, page bytes: [UInt8], _ parameters: ClusterParameters
    ) throws(EvidenceFault) -> CrossChecksum {
        guard let staged else {
            guard place.part == 0, bytes.isEmpty, place.stripe < UInt32(stripes.count) else { throw .noStripe }
            return stripes[Int(place.stripe)]
        }
        guard Int(place.part) < staged.parts.count else { throw .noStripe }
        let part = staged.parts[Int(place.part)]
        guard place.stripe < part.stripeCount else { throw .noStripe }
        if case .known(let crossChecksum) = StripeToFetch(part: part, stripe: place.stripe).name {
            guard bytes.isEmpty else { throw .otherPage }
            return crossChecksum
        }
        let (first, count) = part.page(of: place.stripe)
        guard Digest256.sha256(bytes) == part.pages[Int(first / StripePage.stripesMax)] else { throw .otherPage }
        let page: StripePage
        do {
            page = try StripePage(decoding: bytes, first: first, parameters: parameters)
        } catch {
            throw .malformedPage(error)
        }
        guard page.stripes.count == count, part.fits(page) else { throw .otherPage }
        return page.stripes[Int(place.stripe - first)]
    }
}
