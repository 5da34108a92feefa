// The shells of a world's servers: from requests through the replica to the disk and back, as ReplicaHost and
// StoragePipeline do it behind sockets.

import ErasureCode
import Fingerprint
import QuorumFaults
import QuorumProtocol

extension World {
    private func node(_ client: Int) -> Int { Self.asking(client)?.offset ?? plan.serverCount + client }

    /// Sends a request of a client's operation.
    func send(_ request: Request, to server: ServerIndex, client: Int, operation: Int) {
        note("\(name(client)) → \(server): \(Transcript.describe(request))")
        let (first, second) = network.delays(server: server)
        guard let first else {
            note("  lost")
            return
        }
        let message = Event.request(request, client: client, operation: operation, server)
        heap.add(message, at: nowMicroseconds + first)
        guard let second else { return }
        note("  and once more, to arrive after \(second) us")
        heap.add(message, at: nowMicroseconds + second)
    }

    /// Sends a reply to a client's operation.
    private func transmit(_ reply: Reply, of server: ServerIndex, client: Int, operation: Int) {
        note("\(server) → \(name(client)): \(Transcript.describe(reply))")
        let (first, second) = network.delays(server: server)
        guard let first else {
            note("  lost")
            return
        }
        let message = Event.reply(reply, client: client, operation: operation, server)
        heap.add(message, at: nowMicroseconds + first)
        guard let second else { return }
        note("  and once more, to arrive after \(second) us")
        heap.add(message, at: nowMicroseconds + second)
    }

    /// A request reaches its server.
    func receive(_ request: Request, from client: Int, operation: Int, at server: SimulatedServer) {
        guard server.isUp, network.isConnected(server.index.offset, node(client)) else { return }
        trace(UInt64(server.index.rawValue) << 32 | UInt64(bitPattern: Int64(client)))
        requestCount += 1
        let tag = RequestTag(
            session: UInt64(UInt32(bitPattern: Int32(client))) << 32 | UInt64(operation), request: requestCount)
        let id = identity(of: client)
        var passed = request
        if let liar = server.liar {
            switch liar.receive(request, from: id, nowMicroseconds) {
            case .pass(let changed):
                liar.passed[tag] = changed
                passed = changed
            case .answer(let replies):
                for reply in replies { transmit(reply, of: server.index, client: client, operation: operation) }
                return
            case .swallow:
                return
            }
        }
        feed(server, .request(tag, from: Self.asking(client).map(Principal.server) ?? .client(id), passed))
    }

    /// The replica, or the liar around it, answers.
    private func answer(_ tag: RequestTag, _ reply: Reply, of server: SimulatedServer) {
        let client = Int(Int32(bitPattern: UInt32(tag.session >> 32)))
        let operation = Int(tag.session & 0xffff_ffff)
        guard let liar = server.liar else {
            transmit(reply, of: server.index, client: client, operation: operation)
            return
        }
        guard let request = liar.passed.removeValue(forKey: tag) else { return }
        let replies = liar.send(reply, to: identity(of: client), answering: request, nowMicroseconds)
        for reply in replies { transmit(reply, of: server.index, client: client, operation: operation) }
    }

    /// A reply reaches its client.
    func receive(_ reply: Reply, from server: ServerIndex, client: Int, operation: Int) {
        guard network.isConnected(server.offset, node(client)) else { return }
        trace(UInt64(bitPattern: Int64(client)) << 32 | UInt64(server.rawValue))
        if let asking = Self.asking(client) {
            feed(servers[asking.offset], operation, .reply(server, reply))
            return
        }
        guard client < clients.count else {
            receive(reply, from: server, byzantineClients[client - clients.count])
            return
        }
        let honest = clients[client]
        guard honest.operation == operation else { return }
        if honest.writer != nil {
            feed(honest, operation, Writer.Input.reply(server, reply))
        } else {
            feed(honest, operation, Reader.Input.reply(server, reply))
        }
    }
}

// MARK: - The replica and its disk

extension World {
    /// Runs an input through a server's machine and does what follows from it.
    func feed(_ server: SimulatedServer, _ input: consuming ReplicaInput) {
        var effects = spareReplicaEffects.popLast() ?? []
        check(Self.advance(&server.replica, input, into: &effects), of: "\(server.index)")
        // Taken out one by one, the first one last in the array: moved, not copied.
        if effects.count > 1 { effects.reverse() }
        while let effect = effects.popLast() { perform(effect, of: server) }
        spareReplicaEffects.append(effects)
    }

    /// Which invariant the input breaks, or nil; in one access to the replica, so that it is looked at where it lies.
    private static func advance(
        _ replica: inout Replica, _ input: consuming ReplicaInput, into effects: inout [ReplicaEffect]
    ) -> String? {
        replica.handle(input, into: &effects)
        return replica.brokenInvariant
    }

    /// Brings an input to a server now, or some time later.
    private func complete(_ server: SimulatedServer, _ input: consuming ReplicaInput) {
        if let deferral = deferral() {
            heap.add(.serverInput(server.index, life: server.life, input), at: nowMicroseconds + deferral)
        } else {
            feed(server, input)
        }
    }

    private func perform(_ effect: consuming ReplicaEffect, of server: SimulatedServer) {
        let outcome = effect.perform(
            in: server, verifier: server.verifier, parameters: parameters,
            fragmentIndex: FragmentIndex(server.index.rawValue))
        switch consume outcome {
        case .reply(let tag, let reply):
            answer(tag, reply, of: server)
        case .input(let input):
            complete(server, input)
        case .store(let token, let change, let statements):
            var kept = change
            if let change, let liar = server.liar, !liar.keeps(change, nowMicroseconds) { kept = nil }
            server.disk.enqueue(VirtualDisk.Item(token: token, change: kept, statements: statements))
            beginBatch(server)
        case .due(let keys):
            if !keys.isEmpty { feed(server, .due(keys)) }
        case .verifyVersions(let key, let isUrgent):
            verify(key, isUrgent: isUrgent, by: server)
        }
    }

    private func beginBatch(_ server: SimulatedServer) {
        guard server.disk.begin() else { return }
        let span = Int(plan.diskDelayMaxMicroseconds - plan.diskDelayMinMicroseconds)
        let delay = plan.diskDelayMinMicroseconds + UInt64(diskGenerator.below(span + 1))
        heap.add(.synced(server.index, life: server.life), at: nowMicroseconds + delay)
    }

    /// A batch is durable: one signature over all its statements, then its waiters are told.
    func synced(_ server: SimulatedServer) {
        struct Outcome {
            let token: WorkToken
            let statementCount: Int
            let failure: StoreFailure?
        }
        var outcomes: [Outcome] = []
        var statements: [Statement] = []
        server.disk.sync(&diskGenerator) { item, failure in
            outcomes.append(Outcome(token: item.token, statementCount: item.statements.count, failure: failure))
            guard failure == nil else { return }
            if statements.isEmpty { statements = item.statements } else { statements += item.statements }
        }
        guard let signed = try? server.signer.sign(statements) else { preconditionFailure("the scheme always signs") }
        var told = 0
        let inputs = outcomes.map { outcome -> ReplicaInput in
            if let failure = outcome.failure { return .stored(outcome.token, .failure(failure)) }
            if outcome.statementCount == signed.count { return .stored(outcome.token, .success(signed)) }
            let own = Array(signed[told..<told + outcome.statementCount])
            told += own.count
            return .stored(outcome.token, .success(own))
        }
        note("\(server.index) has \(inputs.count) changes on disk, \(statements.count) statements signed")
        if let deferral = deferral() {
            heap.add(.stored(server.index, life: server.life, inputs), at: nowMicroseconds + deferral)
        } else {
            stored(server, inputs)
        }
    }

    func stored(_ server: SimulatedServer, _ inputs: consuming [ReplicaInput]) {
        // Taken out one by one, the first one last in the array: moved, not copied.
        if inputs.count > 1 { inputs.reverse() }
        while let input = inputs.popLast() { feed(server, input) }
        server.disk.finish()
        beginBatch(server)
    }
}

extension SimulatedServer.Liar {
    fileprivate func receive(
        _ request: Request, from client: ClientID, _ nowMicroseconds: UInt64
    ) -> Intake {
        context.nowMilliseconds = nowMicroseconds / 1000
        return fault.receive(request, from: client, &context)
    }

    fileprivate func send(
        _ reply: Reply, to client: ClientID, answering request: Request, _ nowMicroseconds: UInt64
    ) -> [Reply] {
        context.nowMilliseconds = nowMicroseconds / 1000
        return fault.send(reply, to: client, answering: request, &context)
    }

    fileprivate func keeps(_ change: ObjectChange, _ nowMicroseconds: UInt64) -> Bool {
        context.nowMilliseconds = nowMicroseconds / 1000
        return fault.keeps(change, &context)
    }
}
