// One server of a cluster: its store, its replica and its endpoint, started and stopped together.

import ClusterFiles
import ErasureCode
import Glibc
import Logging
import NIOCore
import NIOPosix
import ObjectStorage
import ProtocolStorage
import QuorumOperations
import QuorumProtocol
import QuorumTransport
import QuorumWire
import Synchronization

/// A running server.
package final class Server: Sendable {
    private static let shutdownGrace = TimeAmount.seconds(2)

    private let lists: ListService
    private let identity: ShownIdentity
    private let status: StatusService
    private let endpoint: ServerEndpoint
    private let sessions: RequestSessions
    private let host: ReplicaHost
    private let store: ObjectStore
    private let statistics: ServerStatistics
    private let group: MultiThreadedEventLoopGroup
    private let threads: ServerThreads
    private let background: BackgroundReads
    private let ticker: RepeatedTask
    private let certificateTicker: RepeatedTask
    private let metrics: MetricsEndpoint?
    private let logger: Logger

    /// Opens the store, replays what a crash left, and serves until `shutdown`.
    ///
    /// - Parameter interposer: who makes the server do what no correct one does; nil for a correct server.
    /// - Throws: `.storage` when the store refuses to open, `.transport` when the address cannot be listened on.
    package static func start(
        _ configuration: ServerConfiguration, logger: Logger, interposer: (any ServerInterposer)? = nil
    ) async throws(ServerError) -> Server {
        let keeper: ListKeeper
        do {
            keeper = try ListKeeper(directory: configuration.listDirectory, cluster: configuration.cluster)
        } catch {
            throw .lists(error)
        }
        for complaint in keeper.complaints {
            logger.error("a newer list is not taken, the server goes by the one that it has: \(complaint)")
        }
        let cluster = keeper.current
        var configuration = configuration
        configuration.cluster = cluster
        let store: ObjectStore
        do {
            store = try ObjectStore(
                directory: configuration.storeDirectory,
                owner: StoreOwner(configuration.node, of: cluster.parameters.configuration.cluster),
                options: configuration.storage)
        } catch {
            throw .storage(error)
        }
        switch store.indexCondition {
        case .good: break
        case .madeAnew: logger.warning("the index was missing or damaged, and was made again from the journal")
        case .damaged(let reason):
            logger.error("the index is damaged and could not be made again, so some objects cannot be read: \(reason)")
        }
        let statistics = ServerStatistics()
        let latencies = RequestLatencies()
        let group = MultiThreadedEventLoopGroup(numberOfThreads: configuration.eventLoopCount)
        let threads = ServerThreads(
            workerCount: configuration.workerCount, readerCount: configuration.readerCount)
        let lists = ListService(keeper: keeper, workers: threads.workers, logger: logger)
        let status = StatusService(workers: threads.workers)
        let sessions = RequestSessions(
            parameters: configuration.parameters, lists: lists, status: status, statistics: statistics,
            latencies: latencies, logger: logger, interposer: interposer)
        let signer = StatementSigner(
            node: configuration.node, incarnation: Incarnation(store.incarnation), mode: configuration.parameters.mode,
            key: .p256(configuration.statementKey))
        let reply: @Sendable (RequestTag, Reply) -> Void
        if let interposer {
            interposer.begin(signer: signer) { [weak sessions] tag, reply in
                if let reply { sessions?.reply(tag, reply) } else { sessions?.drop(tag) }
            }
            reply = { tag, reply in interposer.send(reply, tag: tag) }
        } else {
            reply = { tag, reply in sessions.reply(tag, reply) }
        }
        let verifier = StatementVerifier(
            history: configuration.parameters.history, keys: cluster.statementKeys,
            remembersChecks: !configuration.without.contains(.rememberedChecks))
        let losses = LossReport(statistics: statistics, logger: logger)
        let protocolStore = ProtocolStore(
            store: store, node: configuration.node, parameters: configuration.parameters
        ) { loss in losses.take(loss) }
        let charges: [ClientCharge]
        do {
            charges = try protocolStore.charges()
        } catch {
            try? store.close()
            throw .storage(error)
        }
        let incarnation = signer.incarnation
        if let outlived = verifier.fences.outliving(incarnation, of: configuration.node) {
            try? store.close()
            throw .outlived(store: incarnation, listed: outlived)
        }
        let publicKey = configuration.statementKey.publicKey
        guard
            cluster.lists.keys.contents.key(of: configuration.node, incarnation) == Array(publicKey.x963Representation)
        else {
            try? store.close()
            throw .foreignKey(incarnation)
        }
        let mark = configuration.rebuildFiles?.unfinished(signer.incarnation)
        let rebuildFiles = configuration.rebuildFiles
        let life: ReplicaHost.Life
        if rebuildFiles?.isRolledBack(incarnation) ?? false {
            logger.critical(
                "this store was found to be an earlier state of what it was; rebuild it: solidus server rebuild")
            life = .rolledBack
        } else {
            life = mark?.phase == .listing ? .rebuilding : .serving
        }
        let host = ReplicaHost(
            parameters: configuration.parameters, node: configuration.node, access: cluster.lists.access.contents,
            store: protocolStore, charges: charges, verifier: verifier, signer: signer,
            keysVersion: cluster.lists.keys.version, life: life,
            statistics: statistics,
            threads: threads, logger: logger,
            without: configuration.without, interposer: interposer,
            rolledBack: {
                do {
                    try rebuildFiles?.noteRolledBack(incarnation)
                } catch {
                    logger.critical(
                        "that the store has gone back could not be noted, and a restart will forget it: \(error)")
                }
            }, sender: { sessions.sender(of: $0) }, reply: reply)
        host.tick(milliseconds: currentMilliseconds())
        sessions.attach(host)

        var endpointConfiguration = ServerEndpointConfiguration(
            host: configuration.host, port: configuration.port,
            scope: cluster.scope(incarnation: signer.incarnation), peers: cluster.peers,
            limits: ConnectionLimits(configuration.parameters))
        endpointConfiguration.admission = configuration.admission
        endpointConfiguration.memory = MemoryBudget(limitBytes: configuration.memoryBudgetBytes)
        if let limit = configuration.descriptorLimit {
            endpointConfiguration.admission = AdmissionLimits(
                descriptorLimit: limit, nodeCount: configuration.parameters.configuration.nodes.count)
        }
        var started: BackgroundReads?
        let verificationThreads = VerificationThreads()
        do throws(TransportError) {
            let peers = try PeerReads(
                configuration, incarnation: signer.incarnation, verifier: verifier, threads: verificationThreads,
                logger: logger,
                offered: { [weak lists] list, sender in lists?.offer(list, from: sender) })
            let background = BackgroundReads(
                configuration, incarnation: signer.incarnation, rebuilding: mark, lists: lists, peers: peers,
                verificationThreads: verificationThreads,
                store: protocolStore,
                losses: losses, threads: threads, host: host, statistics: statistics, logger: logger)
            started = background
            let identity = ShownIdentity(configuration, logger: logger)
            let endpoint = try await ServerEndpoint.start(
                endpointConfiguration, identity: configuration.identity, delegate: sessions, group: group,
                logger: logger)
            // Names may have to be asked for, which may take as long as it likes.
            let keepPlaces: @Sendable (ClusterDescription) -> Void = { cluster in
                threads.workers.submit { _ in endpoint.keepPlaces(for: cluster.nodeSources) }
            }
            keepPlaces(cluster)
            let readyAt = NIODeadline.now()
            let counting = CounterSources(
                statistics: statistics, background: background, sessions: sessions, host: host, threads: threads,
                endpoint: endpoint)
            status.attach {
                ServerStatus(
                    store.condition, of: lists.current, incarnation: signer.incarnation, uptime: .now() - readyAt,
                    sessionCount: endpoint.sessionCount, rebuild: background.rebuilder?.progress,
                    isRolledBack: host.isRolledBack, certificate: identity.validity,
                    counting.counters, endpoint.counters)
            }
            var metrics: MetricsEndpoint?
            if let address = configuration.metrics {
                let (node, mode) = (Int(configuration.node.rawValue), "\(configuration.parameters.mode)")
                do throws(TransportError) {
                    let source = MetricsSource(status: status) { status in
                        ServerMetrics(
                            node: node, mode: mode, status: status, counters: counting.counters,
                            latencies: latencies.snapshot, certificateEndSeconds: identity.validity.notAfter
                        ).text
                    }
                    metrics = try await MetricsEndpoint.start(address, group: group, source)
                } catch {
                    status.detach()
                    await endpoint.shutdown(grace: .seconds(0))
                    throw error
                }
            }
            let pins = Mutex(cluster.peers)
            lists.attach { kind, cluster in
                if kind == .keys,
                    Self.isOutlived(goingByKeysOf: cluster, verifier, host: host, endpoint: endpoint, signer)
                {
                    logger.critical("another store has taken the place of this one: nothing is answered any more")
                    host.live(.outlived)
                    background.stop()
                }
                endpoint.announce(cluster.scope(incarnation: incarnation))
                peers.follow(cluster)
                switch kind {
                case .configuration, .keys:
                    break
                case .addresses:
                    endpoint.replacePeers(cluster.peers)
                    let isRenewed = pins.withLock { pins in
                        defer { pins = cluster.peers }
                        return pins != cluster.peers
                    }
                    // Who is connected learns of the new certificates before any server shows one.
                    if isRenewed { endpoint.endSessions() }
                    keepPlaces(cluster)
                case .access:
                    // First the gate, then the door: who has come in before is asked for his rights with every request.
                    host.go(by: cluster.lists.access.contents)
                    endpoint.replacePeers(cluster.peers)
                    pins.withLock { $0 = cluster.peers }
                }
            }
            let ticker = group.any().scheduleRepeatedTask(
                initialDelay: configuration.tickInterval, delay: configuration.tickInterval
            ) { _ in
                host.tick(milliseconds: currentMilliseconds())
                background.tick(milliseconds: currentMilliseconds())
            }
            let certificateTicker = group.any().scheduleRepeatedTask(initialDelay: .zero, delay: .hours(24)) { _ in
                identity.warn()
            }
            background.start()
            return Server(
                lists: lists, identity: identity, status: status, endpoint: endpoint, sessions: sessions, host: host,
                store: store,
                statistics: statistics, group: group,
                threads: threads, background: background, ticker: ticker, certificateTicker: certificateTicker,
                metrics: metrics, logger: logger)
        } catch {
            sessions.detach()
            if let started {
                started.stop()
                await started.shutdown()
            } else {
                await verificationThreads.shutdown()
            }
            await threads.shutdown()
            await host.shutdown()
            try? store.close()
            try? await group.shutdownGracefully()
            throw .transport(error)
        }
    }

    /// A new list of keys may say that a server has lost its memory. First nothing more is committed by what it said in
    /// its earlier life. Then all connections end: what is answered later is answered on such as have told the other side
    /// of this list before. And when all is durable that was decided before, other servers are promised so.
    ///
    /// - Returns: whether it is this server that has, and another store has taken the place of this one.
    private static func isOutlived(
        goingByKeysOf cluster: ClusterDescription, _ verifier: StatementVerifier, host: ReplicaHost,
        endpoint: ServerEndpoint, _ signer: StatementSigner
    ) -> Bool {
        let before = verifier.fences
        verifier.learn(history: cluster.parameters.history, keys: cluster.statementKeys)
        let version = cluster.lists.keys.version
        let fences = verifier.fences
        if fences != before {
            host.fence(by: fences)
            endpoint.announce(cluster.scope(incarnation: signer.incarnation))
            endpoint.endSessions()
        }
        // Also what an earlier list waits for: a later one promises no less.
        let changes = host.changesUnderWay
        Task { await host.promise(keysVersion: version, after: changes) }
        return fences.outliving(signer.incarnation, of: signer.node) != nil
    }

    private init(
        lists: ListService, identity: ShownIdentity, status: StatusService, endpoint: ServerEndpoint,
        sessions: RequestSessions,
        host: ReplicaHost, store: ObjectStore,
        statistics: ServerStatistics, group: MultiThreadedEventLoopGroup, threads: ServerThreads,
        background: BackgroundReads, ticker: RepeatedTask, certificateTicker: RepeatedTask,
        metrics: MetricsEndpoint?, logger: Logger
    ) {
        self.lists = lists
        self.identity = identity
        self.status = status
        self.endpoint = endpoint
        self.sessions = sessions
        self.host = host
        self.store = store
        self.statistics = statistics
        self.group = group
        self.threads = threads
        self.background = background
        self.ticker = ticker
        self.certificateTicker = certificateTicker
        self.metrics = metrics
        self.logger = logger
    }

    /// The port listened on; nil after shutdown.
    package var port: Int? { endpoint.port }

    /// Counts of what was done and refused since the start.
    package var counters: ServerCounters {
        CounterSources(
            statistics: statistics, background: background, sessions: sessions, host: host, threads: threads,
            endpoint: endpoint
        ).counters
    }

    /// The port at which metrics are told; nil where none are, and after shutdown.
    package var metricsPort: Int? { metrics?.port }

    /// Takes over the lists beside cluster.toml that are newer than those known, and the key and certificate that lie in
    /// the home if they are others.
    ///
    /// When this returns, nothing that was asked under earlier rights is under way any more: sessions of clients that
    /// are not listed have ended, and what had been admitted before is answered.
    package func reload() async -> ListReport {
        var complaints = lists.takeFromDisk().map(\.description)
        if let complaint = identity.renew(lists.current, endpoint, background.peers) { complaints.append(complaint) }
        await sessions.answered()
        return ListReport(lists.current, complaints: complaints, certificatePin: "\(identity.pin)")
    }

    /// Accepts nobody any more, finishes what is under way, and closes the store so that the next start replays
    /// nothing.
    package func shutdown() async {
        ticker.cancel()
        certificateTicker.cancel()
        await metrics?.close()
        lists.detach()
        status.detach()
        background.stop()
        await endpoint.shutdown(grace: Self.shutdownGrace)
        sessions.detach()
        await background.shutdown()
        await threads.shutdown()
        await host.shutdown()
        do {
            try store.close()
        } catch {
            logger.error("the store could not be closed cleanly: \(error)")
        }
        let done = counters
        let refused = done.refusals.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
        logger.info(
            """
            answered \(done.requests) requests (refused: \(refused.isEmpty ? "none" : refused)), \
            \(done.malformedFrames) malformed frames, \(done.lostParts) lost parts, \
            \(done.connections.refusals) refused connections
            """)
        try? await group.shutdownGracefully()
    }

    static func currentMilliseconds() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return UInt64(max(0, time.tv_sec)) * 1000 + UInt64(time.tv_nsec) / 1_000_000
    }
}

/// What a server's counters are put together from.
private struct CounterSources: Sendable {
    let statistics: ServerStatistics
    let background: BackgroundReads
    let sessions: RequestSessions
    let host: ReplicaHost
    let threads: ServerThreads
    let endpoint: ServerEndpoint

    var counters: ServerCounters {
        var counters = statistics.snapshot
        (counters.verificationSentBytes, counters.verificationReceivedBytes) = background.peers.trafficBytes
        let wants = background.repairer.tally
        counters.wants = UInt64(wants.count)
        counters.failedWants = UInt64(wants.failedCount)
        counters.serversToMeet = UInt64(background.antiEntropy.countToMeet(by: wants.begunAt))
        counters.fencedVersions = UInt64(background.restater.count)
        counters.oldestWantMilliseconds = wants.oldestMilliseconds ?? 0
        counters.scrubEndMilliseconds = background.scrubber.endedMilliseconds
        counters.scrubNeedsMilliseconds = background.scrubber.neededMilliseconds
        counters.auditEndMilliseconds = background.auditor.endedMilliseconds
        counters.evidence = background.evidence.count
        counters.openRequests = UInt64(sessions.openCount)
        let changes = host.changes
        counters.waitingChanges = changes.queued - changes.done
        counters.servedLast = threads.servedLastCount
        counters.connections = endpoint.counters
        counters.memory = endpoint.memory
        return counters
    }
}

extension ClusterDescription {
    /// Where the listed servers stand. Waits for the resolver where names are listed.
    fileprivate var nodeSources: Set<SourceAddress> {
        servers.reduce(into: []) { $0.formUnion(SourceAddress.resolving(host: $1.host)) }
    }
}

extension StoreOwner {
    /// A server as the owner of its store.
    package init(_ node: NodeID, of cluster: ClusterID) {
        self.init(cluster: cluster.bytes, node: node.rawValue)
    }
}
