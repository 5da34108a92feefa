// Worlds in which clients list: drawn from a stream of their own, so that all others are what they would be if there
// were none.

import QuorumFaults
import QuorumProtocol

/// What of the bucket is listed, and how.
package struct PlannedListing: Sendable, Equatable {
    /// Which directory's objects; nil for the whole bucket.
    package let directory: Int?
    /// Whether what is in a directory is told of together.
    package let isByDirectory: Bool
    package let pageSize: Int
}

extension WorldPlan {
    /// The first objects lie beside directories, the others in them: two in each.
    func listedName(_ number: Int) -> String {
        number < 2
            ? "bucket/object-\(number)-\(keySalt)"
            : "bucket/dir-\((number - 2) / 2)/object-\(number)-\(keySalt)"
    }

    /// In a quarter of the worlds there are more objects, a part of the reads become listings, and more is deleted;
    /// most liars lie about listings, too.
    mutating func drawListings(_ selection: FaultSelection) {
        var generator = SeededGenerator(seed: seed &* 0x9e37_79b9_7f4a_7c15 &+ 8)
        guard generator.chance(percent: 25) else { return }
        hasListings = true
        objectCount = generator.within(2...7)
        let listPercent = generator.within(30...90)
        let deletePercent = [10, 30, 50][generator.below(3)]
        for position in operations.indices {
            let listing = PlannedListing(
                directory: generator.chance(percent: 30) ? generator.below(3) : nil,
                isByDirectory: generator.chance(percent: 50), pageSize: [1, 1, 2, 3, 1000][generator.below(5)])
            let object = generator.below(objectCount)
            let (lists, deletes) = (
                generator.chance(percent: listPercent), generator.chance(percent: deletePercent)
            )
            operations[position].object = object
            switch operations[position].kind {
            case .read, .head:
                if lists { operations[position].kind = .list(listing) }
            case .write:
                guard deletes else { continue }
                operations[position].kind = .delete
                operations[position].staging = nil
            case .delete, .list: break
            }
        }
        for number in badServers.keys.sorted() {
            let lie = generator.pick(ListingLie.allCases)
            guard generator.chance(percent: 75), case .byzantine? = badServers[number]?.kind, selection.servers != []
            else { continue }
            listingLies[number] = lie
        }
        if generator.chance(percent: 12) { drawFlappingWitness(&generator) }
    }

    /// The first object of a directory is written and deleted all the time, and the other one stays: whoever lists
    /// directories may hear of the first one only, and find it gone.
    private mutating func drawFlappingWitness(_ generator: inout SeededGenerator) {
        objectCount = 4
        var (hasOther, isThere) = (false, false)
        for position in operations.indices {
            operations[position].pauseMicroseconds = 0
            operations[position].crash = nil
            operations[position].staging = nil
            if operations[position].client == 1 {
                operations[position].object = 2
                operations[position].kind = isThere ? .delete : .write(sizeBytes: generator.within(1...64))
                isThere.toggle()
            } else if !hasOther {
                operations[position].object = 3
                operations[position].kind = .write(sizeBytes: generator.within(1...64))
                hasOther = true
            } else {
                operations[position].object = 3
                operations[position].kind = .list(
                    PlannedListing(directory: nil, isByDirectory: true, pageSize: 1000))
            }
        }
        for number in listingLies.keys.sorted() {
            listingLies[number] = [.falseWitnesses, .staleVersions, .wrongHeads][generator.below(3)]
        }
    }
}
