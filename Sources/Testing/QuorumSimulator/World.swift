// A cluster and its clients in one thread and in virtual time: one seed decides everything that happens.
//
// Everything that takes time is an event: a message under way, a batch on its way to the disk, a timer, a crash.
// Between two events nothing happens by itself. The machines under test are the very ones that run behind sockets; the
// world does for them what their shells do.

import ErasureCode
import Fingerprint
import QuorumFaults
import QuorumProtocol
import Synchronization

/// One run of one plan.
package final class World {
    enum Event {
        /// A request of a client's operation reaches a server, for the group that the route with this number names; a
        /// reply reaches the client.
        case request(Request, route: Int32, client: Int, operation: Int, NodeID)
        case reply(Reply, client: Int, operation: Int, NodeID, life: ServerLife)
        /// A LIST of an operation reaches a server; what that tells reaches the client.
        indirect case list(ListingQuery, client: Int, operation: Int, round: Int, NodeID)
        indirect case listing(Result<ListingAnswer, Refusal>, client: Int, operation: Int, round: Int, NodeID)
        case listingHedge(client: Int, operation: Int, round: Int)
        /// Work of a server's process is done.
        indirect case serverInput(NodeID, life: Int, AddressedInput)
        /// A batch has reached the disk; its waiters are to be told.
        case synced(NodeID, life: Int)
        indirect case stored(NodeID, life: Int, [AddressedInput])
        /// Work of a client's operation is done.
        indirect case writerInput(client: Int, operation: Int, Writer.Input)
        indirect case readerInput(client: Int, operation: Int, machine: Int, Reader.Input)
        /// Something befalls a server's reading of an object.
        indirect case verification(NodeID, life: Int, number: Int, VerificationEvent)
        /// Something befalls a server's repair of an object.
        indirect case repair(NodeID, life: Int, number: Int, RepairEvent)
        /// A server compares what it has committed with another one.
        case meeting(NodeID, life: Int, NodeID)
        /// Something befalls an audit.
        indirect case audit(Int, AuditEvent)
        /// A server that was wiped asks another one what it has committed.
        case telling(NodeID, life: Int, NodeID)
        /// A server or, behind them, a client hears of the newest list of keys.
        case learnKeys(party: Int)
        case wipe(Int)
        case retransmission(client: Int, operation: Int, intervalMicroseconds: UInt64)
        case hedge(client: Int, operation: Int)
        case deadline(client: Int, operation: Int)
        case connected(client: Int, NodeID)
        case next(client: Int)
        case clientCrash(client: Int, operation: Int)
        case byzantineTick(client: Int)
        case tick
        case serverCrash(NodeID, downMicroseconds: UInt64)
        case powerFailure(Int)
        case serverRestart(NodeID)
        case lostDisk(NodeID)
        case fullDisk(NodeID)
        case rot(NodeID)
        case partition(Int)
        case partitionEnd(Int)
        case heal
    }

    enum Phase {
        /// The clients work off their operations.
        case working
        /// All faults but the liars have ended; of each object one client writes once more, and nobody else helps it.
        case writingOnce
        /// All servers were restarted; a fresh client reads every object once.
        case readingBack
        /// The servers ask each other for what they have missed, repair what they want, read what they have and, in the
        /// mode that verifies in idle time, verify what is left, with no new requests.
        case comingToRest
        case over
    }

    /// How long an operation that began after the faults ended may take.
    static let livenessMicroseconds: UInt64 = 600_000_000
    /// How long the servers may take to come to rest: some rounds of asking each other for statements.
    static let restMicroseconds: UInt64 = 3_600_000_000
    /// How long a server tries to read an object in order to verify it.
    static let verificationMicroseconds: UInt64 = 5_000_000
    /// What a server's reading is taken to cost it.
    static let verificationProcessorMicroseconds = 1000
    /// How long a doubled retransmission interval may become.
    static let retransmitMaxMicroseconds: UInt64 = 4_000_000
    /// How many requests a Byzantine client gets through in all.
    static let byzantineRequestsMax = 1500
    /// How long after the other faults Byzantine clients go on.
    static let byzantineEpilogueMicroseconds: UInt64 = 300_000

    let plan: WorldPlan
    let parameters: ClusterParameters
    let keys: [ObjectKey]
    /// What requests name: first the groups of the configuration, in order, then whatever liars have named.
    var routes: [Route]
    var servers: [SimulatedServer] = []
    /// The honest ones, and last the one that reads everything back.
    var clients: [SimulatedClient] = []
    var byzantineClients: [ByzantineClient] = []
    var byzantineRequestCounts: [Int] = []
    /// What all liars share.
    private(set) var conspiracy = Conspiracy(signers: [])
    /// Servers that count towards f.
    let badServers: Set<NodeID>
    /// Servers that were wiped and are not well again, which count as well; and since when others are.
    var unhealed: Set<NodeID> = []
    var wellAtStep: [NodeID: Int] = [:]
    /// All versions of the list of keys.
    var keyLists: [StatementKeys] = []
    let network: VirtualNetwork
    var generator: SeededGenerator
    var diskGenerator: SeededGenerator
    var heap = EventHeap<Event>()
    var nowMicroseconds: UInt64 = 0
    var phase = Phase.working
    var isHealed = false
    /// When the servers must have come to rest.
    var restDeadlineMicroseconds: UInt64 = .max
    var busyClientCount = 0
    /// How many servers have lost all their fragments after everything was whole.
    var decayCount = 0
    /// How many reads of the honest clients have succeeded.
    var readCount = 0
    var requestCount: UInt64 = 0
    var verificationCount = 0
    var history: [RecordedOperation] = []
    /// Which operation made a descriptor.
    var authors: [Digest256: Int] = [:]
    var valuesRead: [Timestamp: [UInt8]] = [:]
    /// Large values that were fetched, and so kept a while.
    var readVersions: Set<Timestamp> = []
    /// Uploads that a client said it needs no more.
    var discards: Set<UploadID> = []
    /// Whoever audits draws from this; nil: nobody does.
    var auditGenerator: SeededGenerator?
    var audits: [RunningAudit] = []
    var violation: Violation?
    var step = 0
    /// Empty arrays to collect effects in, so that not every input needs a new one.
    var spareReplicaEffects: [[ReplicaEffect]] = []
    var spareWriterEffects: [[Writer.Effect]] = []
    var spareReaderEffects: [[Reader.Effect]] = []
    private var eventCount = 0
    private let eventCountMax: Int
    private var traceHash: UInt64 = 0xcbf2_9ce4_8422_2325
    var transcript: Transcript?

    /// - Parameter isTranscribed: whether the report is to tell what happened.
    package init(_ plan: WorldPlan, isTranscribed: Bool = false) {
        self.plan = plan
        var source = SeededGenerator(seed: plan.seed &* 0xd134_2543_de82_ef95 &+ 7)
        parameters = ClusterParameters(history: plan.history(), limits: plan.limits)
        routes = parameters.configuration.groups.map { [parameters] group in
            Route(epoch: parameters.configuration.epoch, group: group.id)
        }
        keys = (0..<plan.objectCount).map { number in
            guard
                let key = try? ObjectKey(
                    plan.hasListings ? plan.listedName(number) : "bucket/object-\(number)-\(plan.keySalt)")
            else { preconditionFailure("a valid key") }
            return key
        }
        badServers = Set(plan.badServers.values.map(\.server))
        network = VirtualNetwork(plan.network, serverCount: plan.serverCount, generator: source.fork())
        generator = source.fork()
        diskGenerator = source.fork()
        eventCountMax = 200_000 + 20_000 * plan.operations.count
        transcript = isTranscribed ? Transcript() : nil
        populate(&source)
        drawAudits()
        schedule()
    }

    /// Runs to the end.
    package func run() -> WorldReport {
        while violation == nil, phase != .over, let (time, event) = heap.next() {
            nowMicroseconds = time
            eventCount += 1
            step += 1
            if eventCount > eventCountMax {
                violation = Violation(.liveness, "no end after \(eventCount) events")
                break
            }
            happen(event)
        }
        if violation == nil, phase != .over { violation = Violation(.liveness, "nothing is left to happen") }
        if plan.planted == .lostFragments { for server in servers { server.disk.loseFragments() } }
        if plan.planted == .lostPending { for server in servers { server.disk.losePending() } }
        if violation == nil { losePowerAtTheEnd() }
        if violation == nil { violation = judge() }
        if let violation { note("violation of \(violation)") }
        return report()
    }

    private func report() -> WorldReport {
        var (succeeded, failed, crashed) = (0, 0, 0)
        for operation in history {
            switch operation.outcome {
            case .wrote, .read, .listed: succeeded += 1
            case .failed: failed += 1
            case .crashed: crashed += 1
            case .running: break
            }
        }
        return WorldReport(
            seed: plan.seed, violation: violation, eventCount: eventCount, virtualMicroseconds: nowMicroseconds,
            succeededCount: succeeded, failedCount: failed, crashedCount: crashed, traceHash: traceHash,
            transcript: transcript?.lines ?? [])
    }

    @inline(__always)
    func note(_ text: @autoclosure () -> String) {
        if transcript != nil { transcript?.note(nowMicroseconds, text()) }
    }

    func trace(_ value: UInt64) {
        traceHash = (traceHash ^ value) &* 0x0000_0100_0000_01b3
        traceHash ^= traceHash >> 29
    }

    /// Whether a piece of work is completed later, and how much later.
    func deferral() -> UInt64? {
        guard plan.deferredWorkPercent > 0, generator.below(100) < plan.deferredWorkPercent else { return nil }
        return UInt64(generator.within(1...2_000))
    }
}

// MARK: - Beginning

extension World {
    private func populate(_ source: inout SeededGenerator) {
        let nodes = parameters.configuration.nodes.map(\.id)
        let signing = nodes.map { SimulatedKey(seed: plan.seed, node: $0) }
        let verification = StatementKeys(ofFirstLives: signing.map(\.verification))
        keyLists = [verification]
        var storing = SeededGenerator(seed: plan.seed &* 0x9e37_79b9_7f4a_7c15 &+ 5)
        servers = nodes.map { node in
            let store = plan.stores.map {
                ServerStore($0, node: node, parameters: parameters, seed: storing.next())
            }
            let signer = StatementSigner(
                node: node, incarnation: Incarnation(1), mode: plan.mode, key: signing[Int(node.rawValue)].signing)
            return SimulatedServer(
                node, parameters: parameters, signer: signer, verificationKeys: verification, store: store,
                repairDelayMilliseconds: Self.repairDelayMilliseconds(plan))
        }
        let honest = (0...plan.clientCount).map { _ in ClientID(high: source.next(), low: source.next()) }
        let byzantine = (0..<8).map { _ in ClientID(high: source.next(), low: source.next()) }
        clients = honest.enumerated().map { number, id in
            let operations = plan.operations.filter { $0.client == number }
            return SimulatedClient(
                number, id: id, parameters: parameters, verificationKeys: verification, operations: operations)
        }
        var liars = source.fork()
        install(&liars)
        for (number, kind) in plan.byzantineClients.sorted(by: { $0.key < $1.key }) {
            let id = byzantine[number % byzantine.count]
            var stream = liars.fork()
            let context = ClientFaultContext(
                parameters: parameters, client: id, others: honest + byzantine.filter { $0 != id },
                keys: keys, verifier: StatementVerifier(history: parameters.history, keys: verification),
                generator: stream.fork(), conspiracy: conspiracy, earlierLife: servers.map(\.signer))
            byzantineClients.append(
                ByzantineClient(clients.count + byzantineClients.count, kind: kind, context: context))
        }
        byzantineRequestCounts = byzantineClients.map { _ in 0 }
    }

    private func install(_ generator: inout SeededGenerator) {
        let liars = plan.badServers.sorted { $0.key < $1.key }.compactMap { _, bad in
            if case .byzantine(let kind) = bad.kind { (bad.server, kind) } else { nil }
        }
        conspiracy = Conspiracy(signers: liars.map { server($0.0).signer })
        for (node, kind) in liars {
            let liar = server(node)
            let context = FaultContext(
                parameters: parameters, node: node, signer: liar.signer, generator: generator.fork(),
                conspiracy: conspiracy)
            let fault = kind.make()
            network.slow(node, by: fault.delayFactor)
            liar.liar = SimulatedServer.Liar(fault: fault, context: context)
            liar.liar?.listing = plan.badServers.first { $0.value.server == node }
                .flatMap { plan.listingLies[$0.key] }
                .map { ListingLiar($0, seed: plan.seed &+ UInt64(node.rawValue)) }
        }
    }

    /// The server with this number: nodes are numbered from 0 without a gap.
    func server(_ node: NodeID) -> SimulatedServer { servers[Int(node.rawValue)] }

    private func schedule() {
        for client in clients where !client.remaining.isEmpty {
            busyClientCount += 1
            heap.add(.next(client: client.number), at: client.remaining.first?.pauseMicroseconds ?? 0)
        }
        for client in byzantineClients {
            heap.add(.byzantineTick(client: client.number), at: UInt64(generator.within(0...20_000)))
        }
        for (number, partition) in plan.partitions.sorted(by: { $0.key < $1.key }) {
            heap.add(.partition(number), at: partition.startMicroseconds)
        }
        for (_, crash) in plan.serverCrashes.sorted(by: { $0.key < $1.key }) {
            heap.add(.serverCrash(crash.server, downMicroseconds: crash.downMicroseconds), at: crash.atMicroseconds)
        }
        for (_, slow) in plan.slowServers.sorted(by: { $0.key < $1.key }) { network.slow(slow.server, by: slow.factor) }
        for (_, bad) in plan.badServers.sorted(by: { $0.key < $1.key }) {
            switch bad.kind {
            case .byzantine: break
            case .rot(let times): for time in times { heap.add(.rot(bad.server), at: time) }
            case .lostDisk(let time): heap.add(.lostDisk(bad.server), at: time)
            case .fullDisk(let time): heap.add(.fullDisk(bad.server), at: time)
            case .failingDisk(let percent): server(bad.server).disk.trouble = .failing(percent: percent)
            }
        }
        for (number, wipe) in plan.wipes.sorted(by: { $0.key < $1.key }) {
            heap.add(.wipe(number), at: wipe.atMicroseconds)
        }
        heap.add(.heal, at: plan.healMicroseconds)
        heap.add(.tick, at: 0)
        if busyClientCount == 0 { advancePhase() }
    }
}

// MARK: - What happens

extension World {
    private func happen(_ event: consuming Event) {
        trace(nowMicroseconds)
        switch event {
        case .request(let request, let route, let client, let operation, let node):
            receive(request, for: routes[Int(route)], from: client, operation: operation, at: server(node))
        case .reply(let reply, let client, let operation, let server, let life):
            receive(reply, from: server, life, client: client, operation: operation)
        case .list(let query, let client, let operation, let round, let node):
            receive(query, from: client, operation: operation, round: round, at: server(node))
        case .listing(let told, let client, let operation, let round, let node):
            receive(told, from: node, clients[client], operation, round: round)
        case .listingHedge(let client, let operation, let round):
            finishRound(round, of: clients[client], operation)
        case .serverInput(let node, let life, let addressed):
            guard server(node).life == life else { return }
            feed(server(node), addressed.replica, addressed.input)
        case .synced(let node, let life):
            guard server(node).life == life else { return }
            synced(server(node))
        case .stored(let node, let life, let inputs):
            guard server(node).life == life else { return }
            stored(server(node), inputs)
        case .writerInput(let client, let operation, let input):
            feed(clients[client], operation, input)
        case .readerInput(let client, let operation, let machine, let input):
            // A listing has several readers, one after the other.
            guard clients[client].machineNumber == machine else { return }
            feed(clients[client], operation, input)
        case .verification(let node, let life, let number, let event):
            guard server(node).life == life else { return }
            happen(event, server(node), number)
        case .repair(let node, let life, let number, let event):
            guard server(node).life == life else { return }
            happen(event, server(node), number)
        case .audit(let number, let event):
            happen(event, audit: number)
        case .meeting(let node, let life, let peer):
            guard server(node).life == life else { return }
            meet(server(node), server(peer))
        case .telling(let node, let life, let peer):
            guard server(node).life == life else { return }
            list(server(node), from: server(peer))
        case .learnKeys(let party):
            learnKeys(party: party)
        case .wipe(let number):
            happen(wipe: number)
        case .retransmission(let client, let operation, let interval):
            retransmit(clients[client], operation, intervalMicroseconds: interval)
        case .hedge(let client, let operation):
            if clients[client].transfer != nil {
                feed(clients[client], operation, StripeTransfer.Input.hedge)
            } else if clients[client].writer != nil {
                feed(clients[client], operation, Writer.Input.hedge)
            } else {
                feed(clients[client], operation, Reader.Input.hedge)
            }
        case .deadline(let client, let operation):
            reachDeadline(clients[client], operation)
        case .connected(let client, let server):
            connected(clients[client], to: server)
        case .next(let client):
            startNext(clients[client])
        case .clientCrash(let client, let operation):
            crash(clients[client], during: operation)
        case .byzantineTick(let client):
            tick(byzantineClients[client - clients.count])
        case .tick, .serverCrash, .powerFailure, .serverRestart, .lostDisk, .fullDisk, .rot, .partition, .partitionEnd,
            .heal:
            befall(event)
        }
    }
}
