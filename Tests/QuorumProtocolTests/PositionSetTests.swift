// Sets of servers, against the standard library's.

import QuorumProtocol
import Testing

@Suite("A set of servers")
struct ServerSetTests {
    @Test(
        "holds what a set holds, in the servers' order, whatever is done with it",
        arguments: 1...20 as ClosedRange<UInt64>)
    func model(seed: UInt64) {
        var generator = SplitMix64(seed: seed)
        var (set, other) = (PositionSet(), PositionSet())
        var (model, otherModel) = (Set<Position>(), Set<Position>())
        for _ in 0..<2_000 {
            let server = Position(UInt8.random(in: .min ... .max, using: &generator))
            switch Int.random(in: 0..<6, using: &generator) {
            case 0...2:
                set.insert(server)
                model.insert(server)
            case 3:
                set.remove(server)
                model.remove(server)
            case 4:
                other.insert(server)
                otherModel.insert(server)
            default:
                #expect(set.subtracting(other) == PositionSet(model.subtracting(otherModel)), "seed \(seed)")
            }
            #expect(set.contains(server) == model.contains(server), "seed \(seed)")
            #expect(set.count == model.count && set.isEmpty == model.isEmpty, "seed \(seed)")
        }
        #expect(Array(set) == model.sorted(), "seed \(seed)")
    }

    @Test("has a place for each of the servers that there can be")
    func all() {
        let everyone = (0...UInt8.max).map { Position($0) }
        let set = PositionSet(everyone)
        #expect(set.count == 256 && Array(set) == everyone)
        for server in everyone {
            var rest = set
            rest.remove(server)
            #expect(!rest.contains(server) && rest.count == 255)
        }
    }
}
