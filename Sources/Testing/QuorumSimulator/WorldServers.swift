// The shells of a world's servers: from requests through the replica of their group to the disk and back, as
// ReplicaHost and StoragePipeline do it behind sockets. All replicas of a server share its disk, its batches and its
// signatures.

import ErasureCode
import Fingerprint
import QuorumFaults
import QuorumProtocol

/// An input for one of a server's replicas, by its position among them.
struct AddressedInput {
    let replica: Int
    let input: ReplicaInput
}

extension World {
    /// By what number the network knows whoever asks.
    private func end(_ client: Int) -> Int {
        Self.asking(client).map { Int($0.rawValue) } ?? plan.serverCount + client
    }

    /// The number of the route of an object's requests.
    func routeNumber(of key: ObjectKey) -> Int {
        // Groups are numbered from 0 without a gap.
        Int(parameters.configuration.group(of: key.slot).id.rawValue)
    }

    /// The number of any route.
    func number(of route: Route) -> Int {
        if let known = routes.firstIndex(of: route) { return known }
        routes.append(route)
        return routes.count - 1
    }

    /// Sends a request of a client's operation, for the group that the route with this number names.
    func send(_ request: Request, to server: NodeID, route: Int, client: Int, operation: Int) {
        if case .fetch(let fetch) = request, let pinned = fetch.pin { readVersions.insert(pinned) }
        note("\(name(client)) → \(server), \(routes[route].group): \(Transcript.describe(request))")
        let (first, second) = network.delays(server: server)
        guard let first else {
            note("  lost")
            return
        }
        let message = Event.request(
            request, route: Int32(truncatingIfNeeded: route), client: client, operation: operation, server)
        heap.add(message, at: nowMicroseconds + first)
        guard let second else { return }
        note("  and once more, to arrive after \(second) us")
        heap.add(message, at: nowMicroseconds + second)
    }

    /// Sends a reply to a client's operation.
    private func transmit(_ reply: Reply, of server: NodeID, client: Int, operation: Int) {
        note("\(server) → \(name(client)): \(Transcript.describe(reply))")
        let (first, second) = network.delays(server: server)
        guard let first else {
            note("  lost")
            return
        }
        let message = Event.reply(
            reply, client: client, operation: operation, server, life: ServerLife(of: self.server(server)))
        heap.add(message, at: nowMicroseconds + first)
        guard let second else { return }
        note("  and once more, to arrive after \(second) us")
        heap.add(message, at: nowMicroseconds + second)
    }

    /// A request reaches its server.
    func receive(
        _ request: Request, for route: Route, from client: Int, operation: Int, at server: SimulatedServer
    ) {
        guard server.isUp, network.isConnected(Int(server.node.rawValue), end(client)) else { return }
        trace(UInt64(server.node.rawValue) << 32 | UInt64(bitPattern: Int64(client)))
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
                for reply in replies { transmit(reply, of: server.node, client: client, operation: operation) }
                return
            case .swallow:
                return
            }
        }
        if server.isRebuilding {
            answer(tag, .refused(.rebuilding), of: server)
            return
        }
        switch replica(of: server, for: route, key: passed.key) {
        case .failure(let refusal):
            answer(tag, .refused(refusal), of: server)
        case .success(let replica):
            let principal = Self.asking(client).map(Principal.server) ?? .client(id)
            feed(server, replica, .request(tag, from: principal, passed))
        }
    }

    /// Whether an answer is listened to: whoever asks learns first of what its server goes by, and hears no earlier life.
    private func isHeard(_ server: NodeID, _ life: ServerLife, by client: Int) -> Bool {
        if let asking = Self.asking(client) {
            learn(self.server(asking), keysVersion: life.keysVersion)
            return life.incarnation >= keyLists[self.server(asking).keysVersion].fences.incarnation(of: server)
        }
        guard client < clients.count else { return true }
        learn(clients[client], keysVersion: life.keysVersion)
        return life.incarnation >= keyLists[clients[client].keysVersion].fences.incarnation(of: server)
    }

    /// The replica for which a request is; or why there is none.
    private func replica(
        of server: SimulatedServer, for route: Route, key: ObjectKey
    ) -> Result<Int, Refusal> {
        let configuration = parameters.configuration
        guard route.epoch == configuration.epoch else {
            return .failure(.unknownEpoch(route.epoch, newest: configuration.epoch))
        }
        let index = Int(route.group.rawValue)
        guard server.replicaPositions.indices.contains(index), let replica = server.replicaPositions[index] else {
            return .failure(.foreignGroup(route.group, expected: configuration.group(of: key.slot).id))
        }
        return .success(replica)
    }

    /// The replica that answers for an object; nil when the server is no member of its group.
    func replica(of server: SimulatedServer, for key: ObjectKey) -> Int? {
        server.replicaPositions[routeNumber(of: key)]
    }

    /// The replica, or the liar around it, answers.
    private func answer(_ tag: RequestTag, _ reply: Reply, of server: SimulatedServer) {
        let client = Int(Int32(bitPattern: UInt32(tag.session >> 32)))
        let operation = Int(tag.session & 0xffff_ffff)
        guard let liar = server.liar else {
            transmit(reply, of: server.node, client: client, operation: operation)
            return
        }
        guard let request = liar.passed.removeValue(forKey: tag) else { return }
        let replies = liar.send(reply, to: identity(of: client), answering: request, nowMicroseconds)
        for reply in replies { transmit(reply, of: server.node, client: client, operation: operation) }
    }

    /// A reply reaches its client.
    func receive(_ reply: Reply, from server: NodeID, _ life: ServerLife, client: Int, operation: Int) {
        guard network.isConnected(Int(server.rawValue), end(client)), isHeard(server, life, by: client) else { return }
        trace(UInt64(bitPattern: Int64(client)) << 32 | UInt64(server.rawValue))
        if let asking = Self.asking(client) {
            if let repair = self.server(asking).repairs[operation] {
                guard let position = parameters.placement(of: repair.key).position(of: server) else { return }
                receive(reply, from: position, self.server(asking), repair: operation)
                return
            }
            if self.server(asking).questions[operation] != nil {
                receive(reply, from: server, self.server(asking), question: operation)
                return
            }
            guard let verification = self.server(asking).verifications[operation],
                let position = parameters.placement(of: verification.key).position(of: server)
            else { return }
            feed(self.server(asking), operation, .reply(position, reply))
            return
        }
        guard client < clients.count else {
            receive(reply, from: server, byzantineClients[client - clients.count])
            return
        }
        let honest = clients[client]
        let machine = operation >> Self.operationBits
        let operation = operation & (1 << Self.operationBits - 1)
        guard honest.operation == operation, honest.machineNumber & 0xfff == machine,
            let position = position(of: server, in: operation)
        else { return }
        if honest.transfer != nil {
            feed(honest, operation, StripeTransfer.Input.reply(position, reply))
        } else if honest.writer != nil {
            feed(honest, operation, Writer.Input.reply(position, reply))
        } else {
            feed(honest, operation, Reader.Input.reply(position, reply))
        }
    }
}

// MARK: - The replica and its disk

extension World {
    /// Runs an input through one of a server's machines and does what follows from it.
    func feed(_ server: SimulatedServer, _ replica: Int, _ input: consuming ReplicaInput) {
        var effects = spareReplicaEffects.popLast() ?? []
        check(
            Self.advance(&server.replicas[replica], input, accounts: &server.accounts, into: &effects),
            of: "\(server.node)")
        // Taken out one by one, the first one last in the array: moved, not copied.
        if effects.count > 1 { effects.reverse() }
        while let effect = effects.popLast() { perform(effect, of: server, replica) }
        spareReplicaEffects.append(effects)
    }

    /// Which invariant the input breaks, or nil; in one access to the replica, so that it is looked at where it lies.
    private static func advance(
        _ replica: inout Replica, _ input: consuming ReplicaInput, accounts: inout Accounts,
        into effects: inout [ReplicaEffect]
    ) -> String? {
        replica.handle(input, accounts: &accounts, into: &effects)
        return replica.brokenInvariant
    }

    /// Brings an input to a server's replica now, or some time later.
    private func complete(_ server: SimulatedServer, _ replica: Int, _ input: consuming ReplicaInput) {
        if let deferral = deferral() {
            let addressed = AddressedInput(replica: replica, input: input)
            heap.add(.serverInput(server.node, life: server.life, addressed), at: nowMicroseconds + deferral)
        } else {
            feed(server, replica, input)
        }
    }

    private func perform(_ effect: consuming ReplicaEffect, of server: SimulatedServer, _ replica: Int) {
        let outcome = effect.perform(
            in: server, verifier: server.verifier, parameters: parameters, node: server.node)
        switch consume outcome {
        case .reply(let tag, let reply):
            answer(tag, reply, of: server)
        case .input(let input):
            complete(server, replica, input)
        case .store(let token, let change, let statements):
            var kept = change
            if let change { judge(change, of: server) }
            if let change, let liar = server.liar, !liar.keeps(change, nowMicroseconds) { kept = nil }
            server.disk.enqueue(VirtualDisk.Item(replica: replica, token: token, change: kept, statements: statements))
            beginBatch(server)
        case .due(let all):
            let group = server.replicas[replica].group.id
            let keys = all.filter { parameters.configuration.group(of: $0.slot).id == group }
            if !keys.isEmpty { feed(server, replica, .due(keys)) }
        case .repairEnded(let number, let result):
            ended(result, server, number: number)
        case .restate(let key, let certificate):
            restate(key, certificate, server)
        case .verifyVersions(let key, let isUrgent):
            verify(key, isUrgent: isUrgent, by: server)
        case .forgotten(let key, let timestamp):
            judgeForgotten(key, timestamp, server)
        }
    }

    private func beginBatch(_ server: SimulatedServer) {
        guard server.disk.begin() else { return }
        let span = Int(plan.diskDelayMaxMicroseconds - plan.diskDelayMinMicroseconds)
        let delay = plan.diskDelayMinMicroseconds + UInt64(diskGenerator.below(span + 1))
        heap.add(.synced(server.node, life: server.life), at: nowMicroseconds + delay)
    }

    /// A batch is durable: one signature over all its statements, of whatever groups, then its waiters are told.
    func synced(_ server: SimulatedServer) {
        struct Outcome {
            let replica: Int
            let token: WorkToken
            let statementCount: Int
            let failure: StoreFailure?
        }
        var outcomes: [Outcome] = []
        var statements: [Statement] = []
        server.disk.sync(&diskGenerator) { item, failure in
            outcomes.append(
                Outcome(
                    replica: item.replica, token: item.token, statementCount: item.statements.count,
                    failure: failure))
            guard failure == nil else { return }
            if statements.isEmpty { statements = item.statements } else { statements += item.statements }
        }
        violation = violation ?? judgeDisk(of: server)
        restartIfFailed(server)
        guard let signed = try? server.signer.sign(statements) else { preconditionFailure("the scheme always signs") }
        var told = 0
        let inputs = outcomes.map { outcome -> AddressedInput in
            let result: Result<[SignedStatement], StoreFailure>
            if let failure = outcome.failure {
                result = .failure(failure)
            } else if outcome.statementCount == signed.count {
                result = .success(signed)
            } else {
                result = .success(Array(signed[told..<told + outcome.statementCount]))
                told += outcome.statementCount
            }
            return AddressedInput(replica: outcome.replica, input: .stored(outcome.token, result))
        }
        note("\(server.node) has \(inputs.count) changes on disk, \(statements.count) statements signed")
        if let deferral = deferral() {
            heap.add(.stored(server.node, life: server.life, inputs), at: nowMicroseconds + deferral)
        } else {
            stored(server, inputs)
        }
    }

    func stored(_ server: SimulatedServer, _ inputs: consuming [AddressedInput]) {
        // Taken out one by one, the first one last in the array: moved, not copied.
        if inputs.count > 1 { inputs.reverse() }
        while let addressed = inputs.popLast() { feed(server, addressed.replica, addressed.input) }
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
