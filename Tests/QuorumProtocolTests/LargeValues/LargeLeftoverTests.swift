// Large versions that a client left behind at fewer than q servers, and its next write (docs/protocol.md, When servers
// are full; Large values, Leftovers).

import ErasureCode
import Fingerprint
import QuorumProtocol
import Testing

@Suite("LargeValues: a version left behind")
struct LargeLeftoverTests {
    /// How many stripes each part has: few enough to be named by the descriptor, and too many.
    static let shapes = [[3, 2], [15, 4]]

    @Test(
        "at too few servers is brought to the others by the next write, whatever a liar says that it lacks",
        arguments: shapes, [false, true])
    func finished(stripeCounts: [Int], isAcknowledged: Bool) throws {
        // One pending version fills a server, and no clock moves here.
        let group = TestGroup.staging(faults: 2) {
            $0.pendingVersionsPerClientMax = 1
            $0.listIntervalMilliseconds = 0
        }
        let simulation = Simulation(group)
        let parts = stripeCounts.enumerated().map { part, count in
            group.part(UInt16(4 * part + 1), lengthBytes: count * 512 - 100)
        }
        let version = group.version(parts, counter: 1)
        // One short of a quorum have it. Two have nothing of it; and with f servers with room none admits another.
        let holders = Array(group.servers.prefix(group.quorums.quorum - 1))
        let liar = group.servers[group.servers.count - 1]
        let lacking = group.servers.filter { !holders.contains($0) && $0 != liar }
        #expect(holders.count >= group.quorums.dataFragmentCount && lacking.count <= group.quorums.faults)
        for server in holders {
            for part in parts {
                for stripe in part.stripes.indices {
                    #expect(simulation.ask(server, .stage(part.stage(stripe, for: server))) == .staged)
                }
            }
        }
        #expect(simulation.prepare(version, at: holders).count == holders.count)
        let all = stripeCounts.enumerated().map { MissingStripes(part: UInt16($0), stripes: 0..<UInt32($1)) }
        simulation.lies[liar] = { _, _, request in
            switch request {
            case .prepare(let prepare):
                prepare.timestamp == version.timestamp ? [.refused(.stripesMissing(all))] : []
            case .stage: isAcknowledged ? [.staged] : []
            default: nil
            }
        }
        let session = simulation.startWrite(.photo, nil, by: .alice)
        let write = simulation.finish(session, retransmissions: 60)
        #expect(write.wrote != nil, "\(String(describing: write.failure))")
        let read = simulation.read()
        #expect(read.read != nil && read.text == nil, "what was written is a deletion")
        // It was committed, by a server that was brought all of it.
        #expect(
            lacking.contains { simulation.host($0).record(.photo).version(version.timestamp)?.holdsFragments == true })
    }
}
