// A gateway that serves: its client, its listeners, and how it ends.

import ClusterFiles
import Logging
import NIOPosix
import NIOSSL
import Solidus

/// Where a gateway listens.
public struct GatewayAddresses: Sendable {
    public var host: String
    /// 0 for any that is free.
    public var port: Int
    /// Where metrics are told, and the status page is; nil for nowhere.
    public var metrics: (host: String, port: Int)?
    /// A certificate chain and its key, both PEM; nil for HTTP without TLS.
    public var tls: (certificatePath: String, keyPath: String)?

    public init(host: String, port: Int) {
        self.host = host
        self.port = port
    }
}

public final class RunningGateway: Sendable {
    public let port: Int
    /// Where metrics are told, and the status page is; nil for nowhere.
    public let metricsPort: Int?
    private let client: ObjectClient
    private let servers: [GatewayServer]
    private let runs: [Task<Void, any Error>]
    private let group: MultiThreadedEventLoopGroup

    /// Begins to serve.
    ///
    /// - Parameter accessLog: told a line of JSON for each request that was answered; nil for nobody.
    /// - Throws: `GatewayError`; `ClientError.identity`.
    public static func start(
        _ home: GatewayHome, at addresses: GatewayAddresses, options: GatewayOptions = GatewayOptions(),
        logger: Logger, accessLog: (@Sendable (String) -> Void)? = nil
    ) async throws -> RunningGateway {
        let mode = home.client.cluster.parameters.mode
        guard !mode.verifiesLater else { throw GatewayError.unsuitableMode("\(mode)") }
        let tls = try addresses.tls.map { try tlsContext($0.certificatePath, $0.keyPath) }
        let client = try ObjectClient(home: home.client, options: options.client, logger: logger)
        let group = MultiThreadedEventLoopGroup(numberOfThreads: options.eventLoopCount)
        do {
            let gateway = Gateway(client, home: home, options: options, logger: logger, accessLog: accessLog)
            let server = try await GatewayServer.bind(
                host: addresses.host, port: addresses.port, tls: tls, group: group, handler: gateway,
                limits: options.limits, meter: gateway.metrics.throughput, logger: logger)
            var servers = [server]
            if let metrics = addresses.metrics {
                let pages = OperatorPages(
                    probes: gateway.probes,
                    status: StatusSource(gateway, home: home.client) { server.connectionCount }
                ) {
                    gateway.metrics.text(
                        connections: server.connectionCount, freeBytes: gateway.memory.shares.freeBytes)
                }
                var limits = ServerLimits()
                limits.connectionCountMax = 32
                servers.append(
                    try await GatewayServer.bind(
                        host: metrics.host, port: metrics.port, tls: nil, group: group, handler: pages,
                        limits: limits, logger: logger))
            }
            return RunningGateway(client, servers, group)
        } catch {
            await client.close()
            try? await group.shutdownGracefully()
            throw error
        }
    }

    private init(_ client: ObjectClient, _ servers: [GatewayServer], _ group: MultiThreadedEventLoopGroup) {
        self.client = client
        self.servers = servers
        self.group = group
        port = servers[0].port
        metricsPort = servers.count > 1 ? servers[1].port : nil
        runs = servers.map { server in Task { try await server.run() } }
    }

    /// Takes no more connections, gives requests under way some time to end, and lets the cluster go.
    public func stop() async {
        for server in servers { server.stop() }
        for run in runs { _ = try? await run.value }
        await client.close()
        try? await group.shutdownGracefully()
    }

    private static func tlsContext(_ certificatePath: String, _ keyPath: String) throws(GatewayError) -> NIOSSLContext {
        let path: String
        do {
            let chain = try NIOSSLCertificate.fromPEMFile(certificatePath).map {
                NIOSSLCertificateSource.certificate($0)
            }
            let key = try NIOSSLPrivateKey(file: keyPath, format: .pem)
            var configuration = TLSConfiguration.makeServerConfiguration(
                certificateChain: chain, privateKey: .privateKey(key))
            configuration.minimumTLSVersion = .tlsv12
            return try NIOSSLContext(configuration: configuration)
        } catch {
            path = "\(certificatePath), \(keyPath)"
            throw .configuration(path: path, reason: "this is no certificate chain and its key, both PEM: \(error)")
        }
    }
}
