// The hostile clients that benchmarks and torture set on clusters: each does what its name says, and others are served.

import ErasureCode
import HostileClients
import NIOPosix
import QuorumClient
import QuorumProtocol
import Testing

extension BesiegedClusters {
    /// Not among them: cold reads, for which hundreds of megabytes have to be stored first. Benchmarks have these.
    @Suite("Attacks", .serialized) struct Attacks {
        /// No more than shows what they do: other tests need the machine, too.
        private static let attacksPerSecond = 200.0

        @Test(
            "a hostile client does what its attack says, ends when it is told to, and keeps nobody from being served",
            .timeLimit(.minutes(3)),
            arguments: acceptance(
                AttackKind.allCases.filter { $0 != .coldReads },
                otherwise: [.endlessKeys, .forged, .sessions, .handshakes, .connections]))
        func attack(_ kind: AttackKind) async throws {
            try await withCluster(clientNames: ["first", "hostile"]) { cluster in
                let object = try ObjectKey("tests/attacked")
                let value = SeededBytes.make("attacked", 64 << 10)
                try await cluster.withClient { _ = try await $0.put(object, value) }
                let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
                let attacker = try Attacker(
                    home: cluster.clientHome("hostile"), objects: [object],
                    stores: cluster.servers.map { "\(cluster.home($0))/store" },
                    perSecond: Self.attacksPerSecond, group: group)
                // Few, so that a list of the same object is asked for again before the next one is due.
                let attack = kind.attack(objectCount: 4)
                try await attack.prepare(by: attacker)
                attacker.beginPace()
                let siege = Task { await attack.run(by: attacker) }
                try await cluster.withClient { client in
                    var number = 0
                    while !kind.isFeltEnough(attacker.tally.snapshot) || number < 3 {
                        let value = SeededBytes.make("attacked \(number)", 10_000)
                        _ = try await client.put(object, value)
                        #expect(try await client.get(object).value == value)
                        number += 1
                    }
                }
                siege.cancel()
                await siege.value
                for server in cluster.servers {
                    #expect(cluster.isAlive(server))
                    guard kind == .lists else { continue }
                    let counted = try await cluster.counters(of: server)
                    #expect(counted.listsGiven > 0 && counted.listsWithheld > 0, "\(counted)")
                    #expect(counted.listsGiven + counted.listsWithheld == counted.refusals["tooManyPending"])
                }
                try await group.shutdownGracefully()
            }
        }

        @Test(
            "32 sessions with open frames and unread answers are not read from, and memory stays within its budget",
            .timeLimit(.minutes(3)))
        func memory() async throws {
            try await withCluster(starts: false, clientNames: ["first", "hostile"]) { cluster in
                for server in cluster.servers {
                    let file = cluster.home(server) + "/server.toml"
                    try File.write(file, Array((try File.text(file) + "memory_mib = 64\n").utf8))
                }
                try await cluster.startAll()
                let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
                let attacker = try Attacker(home: cluster.clientHome("hostile"), objects: [], group: group)
                let attack = AttackKind.sessions.attack
                try await attack.prepare(by: attacker)
                let siege = Task { await attack.run(by: attacker) }
                try await cluster.withClient { client in
                    var number = 0
                    var paused = 0
                    while paused < cluster.servers.count {
                        let key = try ObjectKey("tests/besieged-\(number % 8)")
                        let value = SeededBytes.make("besieged \(number)", 300_000)
                        _ = try await client.put(key, value)
                        #expect(try await client.get(key).value == value)
                        number += 1
                        paused = 0
                        for server in cluster.servers {
                            let memory = try await cluster.counters(of: server).memory
                            #expect(memory.budgetBytes == 64 << 20)
                            #expect(memory.mostHeldBytes <= memory.budgetBytes, "\(memory)")
                            if memory.pauses > 0 { paused += 1 }
                        }
                    }
                }
                siege.cancel()
                await siege.value
                for server in cluster.servers { #expect(cluster.isAlive(server)) }
                try await group.shutdownGracefully()
            }
        }

        @Test(
            "poison where servers verify later is committed, and read by nobody", .timeLimit(.minutes(3)),
            arguments: [VerificationMode.lazy, .readTime])
        func poison(mode: VerificationMode) async throws {
            try await withCluster(clientNames: ["first", "hostile"], change: { $0.mode = mode }) { cluster in
                let object = try ObjectKey("tests/poisoned")
                let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
                let attacker = try Attacker(home: cluster.clientHome("hostile"), objects: [object], group: group)
                let attack = AttackKind.poison.attack
                let siege = Task { await attack.run(by: attacker) }
                try await cluster.withClient { client in
                    var number = 0
                    while attacker.tally.snapshot.answers["committed", default: 0] < 40 {
                        let value = SeededBytes.make("poisoned \(number)", 10_000)
                        _ = try await client.put(object, value)
                        #expect(try await client.get(object).value == value)
                        number += 1
                    }
                }
                siege.cancel()
                await siege.value
                for server in cluster.servers { #expect(cluster.isAlive(server)) }
                try await group.shutdownGracefully()
            }
        }

        @Test("an attack on others' objects says so when it is told of none")
        func noObjects() async throws {
            try await withCluster(starts: false) { cluster in
                let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
                let attacker = try Attacker(home: cluster.clientHome(), group: group)
                await #expect(throws: AttackError.noObjects) {
                    try await AttackKind.fullQueue.attack.prepare(by: attacker)
                }
                try await group.shutdownGracefully()
            }
        }
    }
}

extension AttackKind {
    /// Whether servers have answered enough of it to show that it is this attack.
    fileprivate func isFeltEnough(_ counters: AttackCounters) -> Bool {
        func answers(_ name: String) -> UInt64 { counters.answers[name, default: 0] }
        return switch self {
        case .endlessKeys: answers("prepared") > 300
        case .fullQueue: answers("prepared") + answers("busy") > 300
        case .lists: answers("tooManyPending") > 300
        case .forged: answers("invalidFragment") > 5 && answers("invalidCertificate") > 100
        case .poison: answers("invalidFragment") > 20
        case .sessions: counters.sessions >= 4 * 32
        case .handshakes: counters.endedByServer > 500
        case .coldReads: answers("version") > 100 && counters.droppedFiles > 0
        case .connections: counters.sessions > 50
        }
    }
}
