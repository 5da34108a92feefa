// What befalls a world besides lies: crashes, disks, partitions, and the end of all that.

import ObjectStorage
import QuorumFaults
import QuorumProtocol

extension World {
    /// How long it takes until a server is started again whose store failed or did not open.
    private static let restartMicroseconds: UInt64 = 20_000

    func befall(_ event: Event) {
        switch event {
        case .tick:
            for server in servers where server.isUp {
                tick(server)
                if parameters.mode.verifiesLater || !server.queue.isEmpty { beginVerifications(server) }
                beginRepairs(server)
                beginMeeting(server)
                if server.rebuild != nil { advanceRebuild(server) }
                if !server.restatements.isEmpty { advanceRestatements(server) }
                if phase == .comingToRest { scrub(server) }
            }
            beginAudit()
            if phase == .comingToRest { awaitRest() }
            heap.add(.tick, at: nowMicroseconds + tickMicroseconds)
        case .serverCrash(let server, let down):
            guard !isHealed, self.server(server).isUp else { return }
            crash(self.server(server))
            heap.add(.serverRestart(server), at: nowMicroseconds + down)
        case .powerFailure(let number):
            guard !isHealed, let failure = plan.powerFailures[number] else { return }
            losePower(failure)
        case .serverRestart(let server):
            restart(self.server(server))
        case .lostDisk(let server):
            guard !isHealed else { return }
            note("\(server) loses its disk")
            crash(self.server(server))
            self.server(server).disk.wipe()
            self.server(server).isLost = true
        case .fullDisk(let server):
            guard !isHealed else { return }
            note("\(server)'s disk is full")
            self.server(server).disk.trouble = .full
        case .rot(let server):
            // Then others lose what they have, one at a time.
            guard phase != .comingToRest else { return }
            if let what = self.server(server).disk.rot(&diskGenerator) {
                note("\(server) can no longer read \(what)")
            }
        case .partition(let number):
            guard !isHealed, let partition = plan.partitions[number] else { return }
            note("partition \(number) begins: nodes \(String(partition.side, radix: 2)) on one side")
            network.partition(number, side: partition.side)
            heap.add(.partitionEnd(number), at: nowMicroseconds + partition.durationMicroseconds)
        case .partitionEnd(let number):
            note("partition \(number) ends")
            network.endPartition(number)
            reconnect(servers)
        case .heal:
            heal()
        default:
            preconditionFailure("an event of another kind")
        }
    }

    private func tick(_ server: SimulatedServer) {
        for replica in server.replicas.indices {
            feed(server, replica, .tick(milliseconds: nowMicroseconds / 1000))
        }
    }

    private var tickMicroseconds: UInt64 {
        switch phase {
        case .comingToRest: 20_000_000
        case .working, .writingOnce, .readingBack, .over: isHealed ? 500_000 : 30_000
        }
    }

    private func crash(_ server: SimulatedServer, isSudden: Bool = false) {
        note("\(server.node) crashes")
        server.crash(&diskGenerator, isSudden: isSudden)
    }

    /// A read is over: some power failure may have waited for it.
    func countRead() {
        readCount += 1
        for (number, failure) in plan.powerFailures.sorted(by: { $0.key < $1.key })
        where failure.afterReadCount == readCount {
            heap.add(.powerFailure(number), at: nowMicroseconds)
        }
    }

    private func losePower(_ failure: PlannedPowerFailure) {
        note("power fails")
        for server in servers where failure.servers >> UInt64(server.node.rawValue) & 1 == 1 && server.isUp {
            crash(server, isSudden: true)
            heap.add(.serverRestart(server.node), at: nowMicroseconds + failure.downMicroseconds)
        }
        guard failure.includesClients else { return }
        for client in clients {
            guard let operation = client.operation else { continue }
            client.awayMicroseconds = failure.downMicroseconds
            crash(client, during: operation)
        }
    }

    /// The server starts from what is on its disk.
    private func restart(_ server: SimulatedServer) {
        guard !server.isUp, !server.isLost else { return }
        if let reason = server.disk.start() { return cannotStart(server, reason) }
        note("\(server.node) starts")
        if let key = server.disk.misreadRecord() {
            violation = violation ?? Violation(.storage, "\(server.node) reads back another record of \(key)")
        }
        if !badServers.contains(server.node), let wrong = server.disk.wrongAccounts {
            violation = violation ?? Violation(.storage, "\(server.node) charges clients \(wrong)")
        }
        server.accounts = Accounts(server.disk.charges)
        server.isUp = true
        tick(server)
        reconnect([server])
    }

    /// Whoever has lost what it acknowledged is lost. Whose disk fails tries again until the faults end; from then on
    /// its store has to open.
    private func cannotStart(_ server: SimulatedServer, _ reason: StorageError) {
        note("\(server.node) cannot start: \(reason)")
        if server.disk.hasRotted {
            server.isLost = true
        } else if badServers.contains(server.node), !isHealed {
            heap.add(.serverRestart(server.node), at: nowMicroseconds + Self.restartMicroseconds)
        } else {
            violation = violation ?? Violation(.storage, "\(server.node)'s store does not open: \(reason)")
        }
    }

    /// A server whose store takes no more changes is restarted by whoever runs it.
    func restartIfFailed(_ server: SimulatedServer) {
        guard server.disk.hasFailed, !isHealed else { return }
        note("\(server.node)'s store has failed")
        heap.add(.serverCrash(server.node, downMicroseconds: Self.restartMicroseconds), at: nowMicroseconds)
    }

    /// Connections come back: clients in the middle of an operation are told.
    private func reconnect(_ servers: [SimulatedServer]) {
        for server in servers where server.isUp {
            for client in clients where client.operation != nil {
                let delay = UInt64(generator.within(50...3_000))
                heap.add(.connected(client: client.number, server.node), at: nowMicroseconds + delay)
            }
        }
    }

    /// What is judged is what every disk holds without what only memory knows.
    func losePowerAtTheEnd() {
        for server in servers where server.isUp && plan.stores != nil {
            crash(server, isSudden: true)
            if let reason = server.disk.start() { cannotStart(server, reason) }
        }
    }

    /// All faults end but the liars' and what the disks have lost; from now on every operation must succeed.
    private func heal() {
        guard !isHealed else { return }
        note("the faults end")
        isHealed = true
        network.heal()
        if plan.planted == .silence { network.fallSilent() }
        for server in servers {
            server.disk.trouble = .none
            if server.isUp, server.disk.hasFailed { crash(server) }
            restart(server)
        }
        reconnect(servers)
        for client in clients {
            guard let operation = client.operation else { continue }
            client.deadlineMicroseconds = nowMicroseconds + Self.livenessMicroseconds
            heap.add(.deadline(client: client.number, operation: operation), at: client.deadlineMicroseconds)
        }
    }

    /// All clients are done with what the phase asked of them.
    func advancePhase() {
        switch phase {
        case .working where plan.endsWithWrites: beginLastWrites()
        case .working: beginReadBack()
        case .writingOnce: beginReadBack()
        case .readingBack: beginRest()
        case .comingToRest, .over: phase = .over
        }
    }

    /// A write finds its way by itself, whatever its client and others have left behind: while others write and read
    /// they bring about what it needs, and hide it when it cannot. But such a write also hides what was lost below it,
    /// and ends what servers that verify later have to find out: half of the worlds do without.
    private func beginLastWrites() {
        note("each object is written once more")
        heal()
        phase = .writingOnce
        var choice = SeededGenerator(seed: plan.seed &* 0x9e37_79b9_7f4a_7c15 &+ 3)
        for object in keys.indices {
            let number = choice.below(plan.clientCount)
            let size = choice.within(1...64)
            let write = PlannedOperation(
                number: -1, client: number, object: object, kind: .write(sizeBytes: size), pauseMicroseconds: 0,
                crash: nil)
            if clients[number].remaining.isEmpty {
                busyClientCount += 1
                heap.add(.next(client: number), at: nowMicroseconds + 1)
            }
            clients[number].remaining.append(write)
        }
    }

    /// Everything is read once more by a client that knows nothing, from servers that know only what is durable.
    func beginReadBack() {
        note("everything is read back")
        heal()
        phase = .readingBack
        for server in servers where !server.isLost {
            if server.isUp { server.crash(&diskGenerator) }
            restart(server)
        }
        guard let reader = clients.last else { preconditionFailure("the reader is the last client") }
        reader.remaining =
            keys.indices.map { object in
                PlannedOperation(
                    number: -1, client: reader.number, object: object, kind: .read, pauseMicroseconds: 0, crash: nil)
            }[...]
        if plan.hasListings { reader.remaining += lastListings(by: reader.number) }
        busyClientCount = 1
        heap.add(.next(client: reader.number), at: nowMicroseconds + 1)
    }
}
