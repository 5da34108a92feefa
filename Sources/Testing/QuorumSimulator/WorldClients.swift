// The shells of a world's clients: one operation at a time, with the timers that the client library has, and Byzantine
// ones with a script and a limit on how much they get through.

import ErasureCode
import QuorumFaults
import QuorumProtocol

extension World {
    /// The name in timestamps of whoever asks; of a server one that no client has.
    func identity(of client: Int) -> ClientID {
        if let server = Self.asking(client) { return ClientID(high: 0, low: UInt64(server.rawValue)) }
        return client < clients.count ? clients[client].id : byzantineClients[client - clients.count].id
    }

    func name(_ client: Int) -> String {
        if let server = Self.asking(client) { return "\(server), verifying" }
        return client < clients.count ? "client \(client)" : "byzantine client \(client - clients.count)"
    }

    /// The client begins its next operation.
    func startNext(_ client: SimulatedClient) {
        guard client.operation == nil, let planned = client.remaining.popFirst() else { return }
        let key = keys[planned.object]
        let operation = history.count
        let reused = planned.staging?.reuses == true ? client.uploads[key] : nil
        var bytes = reused?.bytes
        if case .write(let size) = planned.kind, bytes == nil { bytes = value(operation, sizeBytes: size) }
        history.append(
            RecordedOperation(
                client: client.number, object: planned.object, kind: planned.kind, bytes: bytes,
                beganHealed: isHealed, invokedAtStep: step, isStaged: planned.staging != nil, isReused: reused != nil))
        step += 1
        client.operation = operation
        note("client \(client.number) begins operation \(operation): \(planned.kind) of \(key)")
        if let staging = planned.staging, let bytes, reused == nil {
            startTimers(client, operation, crash: planned.crash)
            beginStaging(bytes, staging, of: client, operation)
            return
        }
        switch planned.kind {
        case .write, .delete:
            client.writer = writer(
                of: client, key,
                reused.map { content($0, operation: operation) } ?? content(bytes, operation: operation))
        case .read, .head:
            let isShuffled = generator.chance(percent: 50)
            let positions = parameters.quorums.positions
            let preference = isShuffled ? generator.shuffled(positions) : positions
            client.reader = Reader(
                parameters: parameters, key: key, wantsValue: planned.kind == .read, preference: preference)
        case .list(let listing):
            client.listing = SimulatedListing(query(listing), parameters)
        }
        startTimers(client, operation, crash: planned.crash)
        if client.listing != nil {
            feed(client, operation, Lister.Input.wanted)
        } else if client.writer != nil {
            feed(client, operation, Writer.Input.start)
        } else {
            feed(client, operation, Reader.Input.start)
        }
    }

    func writer(of client: SimulatedClient, _ key: ObjectKey, _ content: WriteContent) -> Writer {
        Writer(
            parameters: parameters, key: key, writer: client.id, content: content,
            remembered: plan.clientsRemember ? client.remembered[key] : nil,
            spares: plan.writesArePartial ? parameters.quorums.spares : [],
            distrusted: client.liars.compactMap { parameters.placement(of: key).position(of: $0) }.sorted())
    }

    private func startTimers(_ client: SimulatedClient, _ operation: Int, crash: PlannedOperation.Crash?) {
        let patience = plan.patience
        let deadline = isHealed ? Self.livenessMicroseconds : patience.deadlineMicroseconds
        client.deadlineMicroseconds = nowMicroseconds + deadline
        heap.add(.deadline(client: client.number, operation: operation), at: client.deadlineMicroseconds)
        heap.add(
            .retransmission(
                client: client.number, operation: operation, intervalMicroseconds: patience.retransmitMicroseconds),
            at: nowMicroseconds + patience.retransmitMicroseconds)
        client.crashesBeforeCommit = false
        (client.preparesLeft, client.commitsLeft) = (nil, nil)
        guard let crash else { return }
        client.awayMicroseconds = crash.awayMicroseconds
        switch crash.moment {
        case .after(let microseconds):
            heap.add(
                .clientCrash(client: client.number, operation: operation), at: nowMicroseconds + microseconds)
        case .beforeCommit:
            client.crashesBeforeCommit = true
        case .afterPrepares(let count):
            client.preparesLeft = count
        case .afterCommits(let count):
            client.commitsLeft = count
        }
    }

    /// A value that no other operation writes, as far as its size allows.
    private func value(_ operation: Int, sizeBytes: Int) -> [UInt8] {
        var stream = SeededGenerator(seed: plan.seed &+ UInt64(operation) &* 0x2545_f491_4f6c_dd1d)
        return stream.bytes(count: sizeBytes)
    }

    /// What a write makes of its object. The metadata name the operation, so that no two descriptors are equal.
    private func content(_ bytes: [UInt8]?, operation: Int) -> WriteContent {
        let modified = UInt64(operation)
        guard let bytes else { return .deletion(modifiedMilliseconds: modified) }
        return .value(
            SharedBytes(bytes), ObjectMetadata(modifiedMilliseconds: modified),
            salt: VersionSalt(high: plan.seed, low: UInt64(operation)))
    }

    // MARK: Inputs

    private func complete(_ client: SimulatedClient, _ operation: Int, _ input: consuming Writer.Input) {
        if let deferral = deferral() {
            heap.add(
                .writerInput(client: client.number, operation: operation, input), at: nowMicroseconds + deferral)
        } else {
            feed(client, operation, input)
        }
    }

    private func complete(_ client: SimulatedClient, _ operation: Int, _ input: consuming Reader.Input) {
        if let deferral = deferral() {
            heap.add(
                .readerInput(
                    client: client.number, operation: operation, machine: client.machineNumber, input),
                at: nowMicroseconds + deferral)
        } else {
            feed(client, operation, input)
        }
    }

    /// Runs an input through the writer of an operation, unless that is over, and does what follows from it.
    func feed(_ client: SimulatedClient, _ operation: Int, _ input: consuming Writer.Input) {
        guard client.operation == operation, client.writer != nil else { return }
        var effects = spareWriterEffects.popLast() ?? []
        check(Self.advance(&client.writer!, input, into: &effects), of: "operation \(operation)'s writer")
        let key = keys[history[operation].object]
        if effects.count > 1 { effects.reverse() }
        while let effect = effects.popLast() {
            if client.crashesBeforeCommit, case .send(_, .commit(let commit)) = effect,
                authors[commit.certificate.timestamp.digest] == operation
            {
                crash(client, during: operation)
                continue
            }
            switch Writer.step(effect, key: key, verifier: client.verifier) {
            case .send(let position, let request):
                send(request, to: position, of: client, operation)
                if client.operation == operation, client.crashes(sending: request) { crash(client, during: operation) }
            case .work(_, let work):
                complete(client, operation, work())
            case .encode(let work):
                let input = work()
                if case .encoded(let descriptor, _) = input { authors[descriptor.digest] = operation }
                complete(client, operation, input)
            case .startHedge:
                startHedge(client, operation)
            case .finish(.success(let outcome)):
                client.remembered[key] = outcome.proof
                if history[operation].isStaged { client.uploads[key] = nil }
                blame(outcome.observations.liars, of: key, by: client)
                finish(client, operation, .wrote(outcome.timestamp))
            case .finish(.failure(let failure)):
                finish(client, operation, .failed(failure))
            }
        }
        spareWriterEffects.append(effects)
    }

    /// Runs an input through the reader of an operation, unless that is over, and does what follows from it.
    func feed(_ client: SimulatedClient, _ operation: Int, _ input: consuming Reader.Input) {
        guard client.operation == operation, client.reader != nil else { return }
        var effects = spareReaderEffects.popLast() ?? []
        check(Self.advance(&client.reader!, input, into: &effects), of: "operation \(operation)'s reader")
        let key = key(of: operation)
        let number = client.machineNumber
        if effects.count > 1 { effects.reverse() }
        while let effect = effects.popLast() {
            // What is verified may end it, and begin the next one.
            guard client.machineNumber == number else { continue }
            switch Reader.step(effect, key: key, verifier: client.verifier) {
            case .send(let position, let request):
                send(request, to: position, of: client, operation)
            case .work(_, let work), .encode(let work):
                complete(client, operation, work())
            case .startHedge:
                startHedge(client, operation)
            case .finish(.success(let outcome)):
                observe(outcome, of: operation, by: client)
            case .finish(.failure(let failure)):
                finish(client, operation, .failed(failure))
            }
        }
        spareReaderEffects.append(effects)
    }

    /// The client remembers who lied to it: nobody correct.
    private func blame(_ liars: [NodeID], of key: ObjectKey, by client: SimulatedClient) {
        for node in liars {
            client.liars.insert(node)
            guard correctMembers(key).contains(where: { $0.node == node }) else { continue }
            violation =
                violation ?? Violation(.invariant, "client \(client.number) calls \(node) a liar, which is correct")
        }
    }

    /// Which invariant the input breaks, or nil; in one access to the machine, so that it is looked at where it lies.
    static func advance<Machine: OperationMachine>(
        _ machine: inout Machine, _ input: Machine.Input, into effects: inout [Machine.Effect]
    ) -> String? {
        machine.handle(input, into: &effects)
        return machine.brokenInvariant
    }

    /// The first broken invariant is the run's violation.
    func check(_ broken: String?, of machine: @autoclosure () -> String) {
        if let broken, violation == nil { violation = Violation(.invariant, "\(machine()): \(broken)") }
    }

    func startHedge(_ client: SimulatedClient, _ operation: Int) {
        heap.add(
            .hedge(client: client.number, operation: operation),
            at: nowMicroseconds + plan.patience.hedgeMicroseconds)
    }

    /// Sends a request of an operation, unless its client has crashed meanwhile.
    func send(_ request: Request, to position: Position, of client: SimulatedClient, _ operation: Int) {
        guard client.operation == operation else { return }
        let key = key(of: operation)
        send(
            request, to: parameters.placement(of: key).node(at: position), route: routeNumber(of: key),
            client: client.number, operation: operation | (client.machineNumber & 0xfff) << Self.operationBits)
    }

    /// So many bits of an answer's address name the operation, those above it the machine.
    static let operationBits = 20

    /// The object that an operation is about; of a listing, the one that it reads.
    func key(of operation: Int) -> ObjectKey {
        let client = clients[history[operation].client]
        let read = client.operation == operation ? client.listing?.reading?.key : nil
        return read ?? keys[history[operation].object]
    }

    /// The server's position for the object of an operation; nil when it is no member of its group.
    func position(of server: NodeID, in operation: Int) -> Position? {
        parameters.placement(of: key(of: operation)).position(of: server)
    }

    func retransmit(_ client: SimulatedClient, _ operation: Int, intervalMicroseconds: UInt64) {
        guard client.operation == operation else { return }
        let next = min(2 * intervalMicroseconds, Self.retransmitMaxMicroseconds)
        heap.add(
            .retransmission(client: client.number, operation: operation, intervalMicroseconds: next),
            at: nowMicroseconds + next)
        if client.listing != nil { retransmitListing(client, operation) }
        if client.transfer != nil {
            feed(client, operation, StripeTransfer.Input.retransmit)
        } else if client.writer != nil {
            feed(client, operation, Writer.Input.retransmit)
        } else {
            feed(client, operation, Reader.Input.retransmit)
        }
    }

    func reachDeadline(_ client: SimulatedClient, _ operation: Int) {
        guard client.operation == operation, nowMicroseconds >= client.deadlineMicroseconds else { return }
        if client.listing != nil {
            giveUpListing(client, operation)
        } else if client.transfer != nil {
            feed(client, operation, StripeTransfer.Input.deadline)
        } else if client.writer != nil {
            feed(client, operation, Writer.Input.deadline)
        } else {
            feed(client, operation, Reader.Input.deadline)
        }
    }

    func connected(_ client: SimulatedClient, to server: NodeID) {
        if client.listing != nil { askAgain(server, of: client) }
        guard let operation = client.operation, let position = position(of: server, in: operation) else { return }
        if client.transfer != nil {
            feed(client, operation, StripeTransfer.Input.connected(position))
        } else if client.writer != nil {
            feed(client, operation, Writer.Input.connected(position))
        } else {
            feed(client, operation, Reader.Input.connected(position))
        }
    }

    // MARK: Ends

    private func observe(_ outcome: ReadOutcome, of operation: Int, by client: SimulatedClient) {
        guard client.listing == nil else { return found(outcome, of: client, operation) }
        let observation: Observation
        switch outcome.found {
        case .nothing(let timestamp):
            observation = Observation(timestamp: timestamp, isTombstone: timestamp != nil, bytes: nil)
        case .version(let timestamp, let sealed, let stripes):
            if history[operation].kind == .read, let staged = sealed.descriptor.staged {
                beginFetching(staged, timestamp, of: client, operation)
                return
            }
            var bytes: [UInt8]?
            if history[operation].kind == .read {
                let blocks = zip(sealed.descriptor.stripes, stripes).map { try? $0.decode($1) }
                if blocks.contains(nil) {
                    violation = violation ?? Violation(.integrity, "what operation \(operation) read does not decode")
                }
                bytes = blocks.flatMap { $0?.array ?? [] }
            }
            observation = Observation(timestamp: timestamp, isTombstone: false, bytes: bytes)
        }
        conclude(observation, of: operation, by: client)
    }

    /// A read is over.
    func conclude(_ found: Observation, of operation: Int, by client: SimulatedClient) {
        var observation = found
        if phase == .readingBack, let planted = plan.planted { observation = observation.with(planted) }
        if let found = judge(observation, of: operation) { violation = violation ?? found }
        finish(client, operation, .read(observation))
        if phase == .working { countRead() }
    }

    func finish(_ client: SimulatedClient, _ operation: Int, _ outcome: RecordedOperation.Outcome) {
        step += 1
        history[operation].completedAtStep = step
        history[operation].outcome = outcome
        note("client \(client.number) ends operation \(operation): \(Transcript.describe(outcome))")
        // One under way when the faults ended was given as much time as those that begin later.
        let hadTime = history[operation].beganHealed || isHealed && nowMicroseconds >= client.deadlineMicroseconds
        if case .failed(let failure) = outcome, hadTime, !mayFail(operation, of: client, failure),
            !(history[operation].isWrite && isShutOut(client.id, keys[history[operation].object]))
        {
            violation =
                violation ?? Violation(.liveness, "operation \(operation) failed without any reason: \(failure)")
        }
        client.end()
        proceed(client, afterMicroseconds: client.remaining.first?.pauseMicroseconds ?? 0)
    }

    func crash(_ client: SimulatedClient, during operation: Int) {
        guard client.operation == operation else { return }
        note("client \(client.number) crashes in operation \(operation)")
        step += 1
        history[operation].completedAtStep = nil
        history[operation].outcome = .crashed
        client.crash()
        proceed(client, afterMicroseconds: client.awayMicroseconds)
    }

    private func proceed(_ client: SimulatedClient, afterMicroseconds pause: UInt64) {
        guard client.remaining.isEmpty else {
            heap.add(.next(client: client.number), at: nowMicroseconds + pause)
            return
        }
        busyClientCount -= 1
        if busyClientCount == 0 { advancePhase() }
    }
}

// MARK: - Byzantine clients

extension World {
    private var isByzantineTime: Bool {
        phase == .working && nowMicroseconds < plan.healMicroseconds + Self.byzantineEpilogueMicroseconds
    }

    func tick(_ client: ByzantineClient) {
        guard isByzantineTime else { return }
        client.context.nowMilliseconds = nowMicroseconds / 1000
        let outgoing = client.hasStarted ? client.tick() : client.start()
        send(outgoing, of: client)
        heap.add(
            .byzantineTick(client: client.number),
            at: nowMicroseconds + plan.patience.retransmitMicroseconds / 4)
    }

    func receive(_ reply: Reply, from server: NodeID, _ client: ByzantineClient) {
        guard isByzantineTime else { return }
        client.context.nowMilliseconds = nowMicroseconds / 1000
        send(client.receive(reply, from: server), of: client)
    }

    private func send(_ outgoing: [Outgoing], of client: ByzantineClient) {
        for message in outgoing where parameters.configuration.contains(message.node) {
            let number = client.number - clients.count
            guard byzantineRequestCounts[number] < Self.byzantineRequestsMax else { return }
            byzantineRequestCounts[number] += 1
            let route = message.route.map { self.number(of: $0) } ?? routeNumber(of: message.request.key)
            send(message.request, to: message.node, route: route, client: client.number, operation: 0)
        }
    }
}
