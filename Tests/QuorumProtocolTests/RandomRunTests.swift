// Thousands of short random runs: clients write, delete and read under a scheduler that reorders, loses, duplicates and
// crashes, among up to f lying servers. Every history must be linearizable, whatever was acknowledged must survive the
// restart of all servers, and every operation must finish once the faults stop.

import Fingerprint
import QuorumProtocol
import Testing

@Suite("The register")
struct RandomRunTests {
    /// One kind of run, and how many seeds of it.
    struct Plan: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let group: TestGroup
        let seeds: Range<UInt64>
        var liarCount = 0
        var keys: [ObjectKey] = [.photo]
        /// How often, of a hundred steps, another poisonous write begins.
        var poisonPercent = 0
    }

    static let hasty: ProtocolLimits = {
        var limits = ProtocolLimits()
        limits.retainedVersionsMax = 0
        limits.retentionMilliseconds = 0
        limits.pendingVersionsPerClientMax = 3
        return limits
    }()

    static let plans = [
        Plan(testDescription: "f = 1", group: TestGroup(), seeds: 0..<350),
        Plan(testDescription: "f = 1, a liar", group: TestGroup(), seeds: 1000..<1400, liarCount: 1),
        Plan(
            testDescription: "f = 1, a liar, no retention", group: TestGroup(limits: hasty), seeds: 2000..<2250,
            liarCount: 1),
        Plan(
            testDescription: "f = 1, two objects", group: TestGroup(), seeds: 3000..<3080, liarCount: 1,
            keys: [.photo, .other]),
        Plan(testDescription: "f = 2, two liars", group: TestGroup(faults: 2), seeds: 4000..<4040, liarCount: 2),
        Plan(
            testDescription: "m = 4, n = 6, a liar", group: TestGroup(dataFragmentCount: 4), seeds: 5000..<5040,
            liarCount: 1),
        Plan(
            testDescription: "lazy, poison", group: TestGroup(mode: .lazy, limits: hasty), seeds: 6000..<6120,
            poisonPercent: 2),
        Plan(
            testDescription: "lazy, poison, a liar", group: TestGroup(mode: .lazy, limits: hasty), seeds: 6200..<6320,
            liarCount: 1, poisonPercent: 2),
        Plan(
            testDescription: "read-time, poison, a liar", group: TestGroup(mode: .readTime, limits: hasty),
            seeds: 6400..<6520, liarCount: 1, poisonPercent: 2),
        Plan(
            testDescription: "lazy, poison, m = 4, n = 6, a liar", group: TestGroup(dataFragmentCount: 4, mode: .lazy),
            seeds: 6600..<6640, liarCount: 1, poisonPercent: 2),
        Plan(
            testDescription: "full, a liar", group: TestGroup(mode: .full), seeds: 6800..<6860, liarCount: 1),
        Plan(testDescription: "none", group: TestGroup(mode: .none), seeds: 6900..<6940),
    ]

    @Test("stays linearizable, keeps what was acknowledged and finishes every operation", arguments: plans)
    func runs(plan: Plan) {
        for seed in plan.seeds {
            if let failure = RandomRun(plan, seed: seed).failure() { Issue.record("seed \(seed): \(failure)") }
        }
    }

    @Test("is seen to fail by the checker when a history is none of a register")
    func checker() {
        func operation(_ kind: RegisterOperation.Kind, _ start: Int, _ end: Int?) -> RegisterOperation {
            RegisterOperation(kind: kind, startedAt: start, finishedAt: end)
        }
        let (a, b) = ([UInt8(1)], [UInt8(2)])
        let good: [[RegisterOperation]] = [
            [], [operation(.read(nil), 1, 2)],
            [operation(.write(a), 1, 5), operation(.read(nil), 2, 3), operation(.read(a), 4, 6)],
            [operation(.write(a), 1, nil), operation(.read(a), 2, 3)],
            [operation(.write(a), 1, nil), operation(.read(nil), 2, 3)],
            [operation(.write(a), 1, 4), operation(.write(b), 2, 3), operation(.read(a), 5, 6)],
            [operation(.write(a), 1, 2), operation(.write(nil), 3, 4), operation(.read(nil), 5, 6)],
        ]
        let bad: [[RegisterOperation]] = [
            [operation(.read(a), 1, 2)],
            [operation(.write(a), 1, 2), operation(.read(nil), 3, 4)],
            [operation(.write(a), 1, 9), operation(.read(a), 2, 3), operation(.read(nil), 4, 5)],
            [operation(.write(a), 1, 2), operation(.write(b), 3, 4), operation(.read(a), 5, 6)],
            [operation(.write(a), 1, nil), operation(.read(a), 2, 3), operation(.read(nil), 4, 5)],
            [
                operation(.write(a), 1, 2), operation(.write(b), 3, nil), operation(.read(b), 4, 5),
                operation(.read(a), 6, 7),
            ],
        ]
        for history in good { #expect(RegisterHistory(history).isLinearizable) }
        for history in bad { #expect(!RegisterHistory(history).isLinearizable) }
    }
}

/// One run of one seed.
private final class RandomRun {
    private let plan: RandomRunTests.Plan
    private let simulation: Simulation
    private var remaining: [(client: ClientID, isWriter: Bool, count: Int)] = []
    private var current: [Int?] = []
    private var valueCount = 0
    private var poisonCount = 0
    /// Writes whose COMMIT reaches one server only while the faults last.
    private var hidden: [Int: Position] = [:]

    init(_ plan: RandomRunTests.Plan, seed: UInt64) {
        self.plan = plan
        simulation = Simulation(plan.group, seed: seed)
        simulation.lossPercent = Int.random(in: 0...10, using: &simulation.generator)
        simulation.duplicationPercent = Int.random(in: 0...15, using: &simulation.generator)
        for server in plan.group.servers.shuffled(using: &simulation.generator).prefix(plan.liarCount) {
            Liar.install(on: server, of: simulation)
        }
        let slow = plan.group.servers.shuffled(using: &simulation.generator)
        simulation.slowServers = Set(slow.prefix(Int.random(in: 0...slow.count - 1, using: &simulation.generator)))
        for (number, isWriter) in [true, true, false, false].enumerated() {
            let count = Int.random(in: 1...(isWriter ? 2 : 4), using: &simulation.generator)
            remaining.append((ClientID(high: 0, low: UInt64(number)), isWriter, count))
        }
        current = remaining.map { _ in nil }
    }

    /// What went wrong, or nil.
    func failure() -> String? {
        disturb()
        return finishAll() ?? readBack() ?? judge()
    }

    private func chance(_ percent: Int) -> Bool { simulation.generator.chance(percent: percent) }

    /// The phase with faults.
    private func disturb() {
        simulation.loses = { [unowned self] event in
            guard case .request(let server, let session, .commit) = event, let only = hidden[session] else {
                return false
            }
            return server != only
        }
        for _ in 0..<500 {
            for client in remaining.indices where chance(12) { startNext(client) }
            if plan.poisonPercent > 0, chance(plan.poisonPercent) { startPoison() }
            if chance(2) {
                let server = plan.group.servers.randomElement(using: &simulation.generator)!
                simulation.crash(server)
            }
            if chance(6) {
                let server = plan.group.servers.randomElement(using: &simulation.generator)!
                simulation.restart(server)
            }
            if chance(2), let session = current.compactMap({ $0 }).randomElement(using: &simulation.generator) {
                simulation.crashClient(session)
            }
            if chance(5), let session = current.compactMap({ $0 }).randomElement(using: &simulation.generator) {
                simulation.remind(session)
            }
            if chance(2) {
                let server = plan.group.servers.randomElement(using: &simulation.generator)!
                if simulation.slowServers.remove(server) == nil { simulation.slowServers.insert(server) }
            }
            if chance(3) { simulation.tick(advancingBy: chance(50) ? 1 : 31_000) }
            simulation.step()
        }
    }

    private func startNext(_ client: Int) {
        if let session = current[client], simulation.sessions[session].isRunning { return }
        guard remaining[client].count > 0 else { return }
        remaining[client].count -= 1
        let id = remaining[client].client
        let key = plan.keys.randomElement(using: &simulation.generator)!
        if !remaining[client].isWriter {
            current[client] = simulation.startRead(key, by: id)
        } else {
            let order = plan.group.servers.shuffled(using: &simulation.generator)
            let spares = chance(30) ? Array(order.prefix(plan.group.quorums.faults)) : []
            let isDeletion = chance(20)
            if !isDeletion { valueCount += 1 }
            let bytes = isDeletion ? nil : Array("value \(valueCount)".utf8)
            current[client] = simulation.startWrite(key, bytes, by: id, spares: spares)
        }
        if remaining[client].isWriter, chance(35), let session = current[client] {
            hidden[session] = plan.group.servers.randomElement(using: &simulation.generator)!
        }
    }

    /// What is written so is nobody's value: a history in which it is read is none of a register.
    private func startPoison() {
        guard !simulation.sessions.contains(where: { $0.isPoisonous && $0.isRunning }) else { return }
        poisonCount += 1
        let victim = plan.group.servers.randomElement(using: &simulation.generator)!
        let key = plan.keys.randomElement(using: &simulation.generator)!
        let session = simulation.startPoisonedWrite(key, "poison \(poisonCount)", garbageAt: victim, by: .mallory)
        if chance(35) { hidden[session] = plan.group.servers.randomElement(using: &simulation.generator)! }
    }

    /// The faults stop (the liars go on): everything must come to its end.
    private func finishAll() -> String? {
        simulation.loses = { _ in false }
        simulation.lossPercent = 0
        simulation.duplicationPercent = 0
        for server in plan.group.servers { simulation.restart(server) }
        for (number, session) in simulation.sessions.enumerated() where session.isPoisonous {
            simulation.crashClient(number)
        }
        for client in remaining.indices {
            while remaining[client].count > 0 || simulation.sessions.indices.contains(where: isRunning) {
                startNext(client)
                if let stuck = settleSessions() { return stuck }
            }
        }
        return nil
    }

    /// Whether a client waits for it: what servers read to verify, and poison, nobody does.
    private func isRunning(_ session: Int) -> Bool {
        simulation.sessions[session].isRunning && isJudged(simulation.sessions[session])
    }

    private func isJudged(_ session: Session) -> Bool { session.server == nil && !session.isPoisonous }

    private func settleSessions() -> String? {
        for _ in 0..<15 {
            simulation.settle()
            let running = simulation.sessions.indices.filter(isRunning)
            if running.isEmpty { break }
            for session in running { simulation.remind(session) }
        }
        for number in simulation.sessions.indices where isRunning(number) {
            simulation.expire(number)
            return "operation \(number) does not finish: \(describe(simulation.sessions[number]))"
        }
        for (number, session) in simulation.sessions.enumerated() where isJudged(session) {
            if case .failed(let failure)? = session.outcome { return "operation \(number) failed: \(failure)" }
        }
        return nil
    }

    /// All servers restart from what is durable; every object is read once more.
    private func readBack() -> String? {
        simulation.restartAll()
        for key in plan.keys { _ = simulation.startRead(key, by: ClientID(high: 0, low: 99)) }
        return settleSessions()
    }

    private func judge() -> String? {
        for key in plan.keys {
            let history = simulation.sessions.filter { $0.key == key && isJudged($0) }.compactMap {
                session -> RegisterOperation? in
                let kind: RegisterOperation.Kind
                if session.isWrite {
                    kind = .write(session.bytes)
                } else if case .read(let bytes, _)? = session.outcome {
                    kind = .read(bytes)
                } else {
                    return nil
                }
                return RegisterOperation(kind: kind, startedAt: session.startedAt, finishedAt: session.finishedAt)
            }
            if !RegisterHistory(history).isLinearizable {
                let lines = simulation.sessions.filter { $0.key == key }.map(describe)
                return "not linearizable:\n" + lines.joined(separator: "\n")
            }
        }
        return nil
    }

    private func describe(_ session: Session) -> String {
        func text(_ bytes: [UInt8]?) -> String { bytes.map { String(decoding: $0, as: UTF8.self) } ?? "nothing" }
        let end = session.finishedAt.map(String.init) ?? (session.isCrashed ? "crashed" : "running")
        let what: String
        switch session.outcome {
        case .wrote(let outcome)?: what = "wrote \(text(session.bytes)) as \(outcome.timestamp)"
        case .read(let bytes, _)?: what = "read \(text(bytes))"
        case .failed(let failure)?: what = "failed: \(failure)"
        case nil: what = session.isWrite ? "write of \(text(session.bytes))" : "read"
        }
        return "\(session.startedAt)...\(end) \(session.client.low): \(what)"
    }
}
