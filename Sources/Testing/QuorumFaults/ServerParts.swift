// Servers that spoil the parts of versions which they serve (docs/protocol.md, Read, step 2: the descriptor is right
// when its digest is the version's, a fragment when it is good, whoever sent it).

import ErasureCode
import Fingerprint
import QuorumProtocol

/// A server that lies about its parts of a version, and is honest in everything else.
protocol PartsLiar: ServerFault {
    /// What is shown instead of the true parts.
    mutating func parts(
        inPlaceOf genuine: HeldParts, of key: ObjectKey, _ context: inout FaultContext
    ) -> HeldParts?
}

extension PartsLiar {
    mutating func send(
        _ reply: Reply, to client: ClientID, answering request: Request, _ context: inout FaultContext
    ) -> [Reply] {
        switch reply {
        case .version(let claim, let parts?):
            return [.version(claim, self.parts(inPlaceOf: parts, of: request.key, &context))]
        case .fetched(let parts):
            return [.fetched(parts.spoiled(&context.generator))]
        default:
            return [reply]
        }
    }
}

extension FetchedParts {
    /// The same question answered with nothing, too little, or other bytes.
    fileprivate func spoiled(_ generator: inout SeededGenerator) -> FetchedParts {
        func altered(_ bytes: [UInt8]) -> [UInt8]? {
            var bytes = bytes
            switch generator.below(4) {
            case 0: return nil
            case 1: return Array(bytes.dropLast())
            case 2 where !bytes.isEmpty: bytes[generator.below(bytes.count)] ^= 1
            default: bytes = bytes.map { ~$0 }
            }
            return bytes
        }
        // A bad page with a good fragment, and the reverse.
        let spoilsPage = page != nil && generator.chance(percent: 60)
        return FetchedParts(
            position: position,
            fragment: spoilsPage && generator.chance(percent: 50)
                ? fragment : fragment.flatMap { altered($0.array).map { SharedBytes($0) } },
            page: spoilsPage ? page.flatMap(altered) : page, tag: tag)
    }
}

extension HeldParts {
    /// The parts with other fragments; without any when there were none.
    func with(_ change: ([SharedBytes]) -> [SharedBytes]) -> HeldParts {
        HeldParts(
            timestamp: timestamp, position: position, descriptor: descriptor, fragments: fragments.map(change))
    }
}

/// Sends random bytes of the right size. Against Read, step 2 (fragment hashes).
struct GarbageServer: PartsLiar {
    mutating func parts(
        inPlaceOf genuine: HeldParts, of key: ObjectKey, _ context: inout FaultContext
    ) -> HeldParts? {
        genuine.with { fragments in
            fragments.map { fragment in
                let random = SharedBytes(context.generator.bytes(count: fragment.count))
                return random == fragment ? fragment.inverted : random
            }
        }
    }
}

/// Sends its fragments with one bit of one byte turned. Against Read, step 2 (fragment hashes cover every byte).
struct OneByteOffServer: PartsLiar {
    mutating func parts(
        inPlaceOf genuine: HeldParts, of key: ObjectKey, _ context: inout FaultContext
    ) -> HeldParts? {
        genuine.with { fragments in
            guard let victim = context.generator.pick(fragments.indices), fragments[victim].count > 0 else {
                return fragments
            }
            var bytes = fragments[victim].array
            bytes[context.generator.below(bytes.count)] ^= 1 << UInt8(context.generator.below(8))
            var fragments = fragments
            fragments[victim] = SharedBytes(bytes)
            return fragments
        }
    }
}

/// Sends good fragments of another version, object or server. Against Read, step 2: a fragment is good for one
/// cross-checksum and one position only.
struct ForeignFragmentsServer: PartsLiar {
    mutating func parts(
        inPlaceOf genuine: HeldParts, of key: ObjectKey, _ context: inout FaultContext
    ) -> HeldParts? {
        genuine.with { fragments in
            let foreign = context.conspiracy.parts.filter { seen in
                !seen.fragments.isEmpty && seen.fragments != fragments
            }
            if let chosen = context.generator.pick(foreign) { return chosen.fragments }
            let value = context.generator.bytes(count: max(1, genuine.descriptor.descriptor.blockSizeBytesTotal))
            let invented = ForgedVersion.make(
                key: key, value: value, counter: 1, writer: genuine.timestamp.writer, parameters: context.parameters)
            return invented.fragments[genuine.position.offset]
        }
    }
}

extension Descriptor {
    /// The value's length, as far as a liar cares to imitate it.
    fileprivate var blockSizeBytesTotal: Int { Int(min(lengthBytes, UInt64(stripeSizeBytes))) }
}

/// Sends fragments of wrong sizes, too many, too few, or none. Against What bad input gets (sizes and counts).
struct MisshapenServer: PartsLiar {
    mutating func parts(
        inPlaceOf genuine: HeldParts, of key: ObjectKey, _ context: inout FaultContext
    ) -> HeldParts? {
        genuine.with { fragments in
            switch context.generator.below(6) {
            case 0: fragments.map { SharedBytes($0.array + [0]) }
            case 1: fragments.map { $0.count > 0 ? $0[0..<($0.count - 1)] : SharedBytes([0]) }
            case 2: fragments.isEmpty ? [SharedBytes()] : fragments.map { _ in SharedBytes() } + [SharedBytes()]
            case 3: fragments + fragments + [SharedBytes([1])]
            case 4: Array(repeating: SharedBytes(), count: fragments.count + 200)
            default: fragments.isEmpty ? [SharedBytes([1])] : []
            }
        }
    }
}

/// Sends a descriptor that is not the version's: another version's, another object's, or its own invention, under the
/// genuine timestamp or with its own. Against Read, step 2 (the descriptor's digest is the timestamp's).
struct ForeignDescriptorsServer: PartsLiar {
    mutating func parts(
        inPlaceOf genuine: HeldParts, of key: ObjectKey, _ context: inout FaultContext
    ) -> HeldParts? {
        let foreign = context.conspiracy.parts.filter { $0.descriptor.digest != genuine.descriptor.digest }
        let isUnderTrueName = context.generator.chance(percent: 60)
        if let seen = context.generator.pick(foreign), context.generator.chance(percent: 60) {
            return HeldParts(
                timestamp: isUnderTrueName ? genuine.timestamp : seen.timestamp, position: genuine.position,
                descriptor: seen.descriptor, fragments: genuine.fragments == nil ? nil : seen.fragments)
        }
        let invented = context.fabricate(key, above: genuine.timestamp)
        return HeldParts(
            timestamp: isUnderTrueName ? genuine.timestamp : invented.timestamp, position: genuine.position,
            descriptor: invented.descriptor,
            fragments: genuine.fragments == nil ? nil : invented.fragments[genuine.position.offset])
    }
}

/// Names versions as committed and has lost what belongs to them. Against Read, step 2 (every other server is asked)
/// and the promise of durability.
struct WithheldFragmentsServer: PartsLiar {
    mutating func parts(
        inPlaceOf genuine: HeldParts, of key: ObjectKey, _ context: inout FaultContext
    ) -> HeldParts? {
        context.generator.chance(percent: 50) || genuine.fragments == nil
            ? nil
            : HeldParts(
                timestamp: genuine.timestamp, position: genuine.position, descriptor: genuine.descriptor,
                fragments: nil)
    }
}
