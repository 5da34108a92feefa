// A server that loses its store and gets it back, by what an operator does.

import ClusterFiles
import Foundation
import Glibc
import QuorumServer

/// A server on its way from an empty store to being well.
struct Rebuilding {
    private static let pollMicroseconds: UInt32 = 20_000
    private static let progressInterval = Duration.seconds(10)
    private static let patience = Duration.seconds(6 * 3600)

    private let cluster: HealingCluster
    private let index: Int
    private let mark: String
    private let begin: ContinuousClock.Instant

    /// Kills the server, removes its store, begins another one and starts the server with it. Time counts from that
    /// start on.
    init(_ index: Int, of cluster: HealingCluster) throws {
        self.cluster = cluster
        self.index = index
        cluster.kill(index)
        let server = cluster.servers[index]
        try FileManager.default.removeItem(atPath: server.store)
        try SolidusCommand.run(cluster.program, ["server", "rebuild", "--home", server.home])
        mark = try cluster.home(index).rebuildFile
        begin = .now
        try cluster.start(index)
        try SolidusCommand.run(cluster.program, ["cluster", "reload", cluster.cluster.directory])
    }

    /// Whether the server is not well yet.
    var isUnderWay: Bool { RebuildMark(path: mark) != nil }

    /// What the server has brought back.
    func repairedCount() throws -> UInt64 { try cluster.servers[index].counters().repairedFragments }

    /// Returns when the server answers requests; how long that took.
    func untilAnswering() throws -> Double { try wait { $0?.phase != .listing } }

    /// Returns when the server is well; how long that took.
    func untilWell() throws -> Double { try wait { $0 == nil } }

    private func wait(until isDone: (RebuildMark?) -> Bool) throws -> Double {
        var toldAt = ContinuousClock.now
        while true {
            let mark = RebuildMark(path: mark)
            let spent = ContinuousClock.now - begin
            if isDone(mark) { return spent.inSeconds }
            guard spent < Self.patience else { throw BenchmarkError.notWell(home: cluster.servers[index].home) }
            if ContinuousClock.now - toldAt > Self.progressInterval {
                toldAt = .now
                try tell(mark, seconds: spent.inSeconds)
            }
            usleep(Self.pollMicroseconds)
        }
    }

    private func tell(_ mark: RebuildMark?, seconds: Double) throws {
        let counters = try cluster.servers[index].counters()
        let time = "\(Int(seconds)) s: server \(index)"
        if mark?.phase == .listing {
            Progress.say("\(time) has heard of \(mark?.nextSlot ?? 0) slots, wants \(counters.wants) objects")
        } else {
            Progress.say(
                "\(time) wants \(counters.wants) objects, has brought back \(counters.repairedFragments) fragments and "
                    + "\(counters.repairedStripes) stripes")
        }
    }
}
