import ClusterFiles
import NIOCore
import NIOPosix
import QuorumTransport

/// A stranger who holds more connections than there are places for handshakes, says nothing on them, and takes each
/// again as soon as it is closed.
struct IdleHandshakes: Attack {
    /// More than a server keeps for strangers, and for one source.
    private static let placesPerServer = AdmissionLimits().maximumHandshakes * 5 / 4
    /// On one machine he comes from other addresses than correct clients do, as he would from another machine.
    private static let localSources = ["127.0.0.2", "127.0.0.3"]

    func run(by attacker: Attacker) async {
        await attacker.besiege(placesPerServer: Self.placesPerServer) { server, place in
            let source = server.host.hasPrefix("127.") ? Self.localSources[place % Self.localSources.count] : nil
            while !Task.isCancelled {
                do {
                    try await attacker.waitForTurn(at: server.node)
                    attacker.tally.count { $0.connections += 1 }
                    try await Self.hold(server, from: source, by: attacker)
                } catch {
                    // No connection was to be had.
                    try? await Task.sleep(for: .milliseconds(10))
                }
                if !Task.isCancelled { attacker.tally.count { $0.endedByServer += 1 } }
            }
        }
    }

    /// Connects, and returns when that is over.
    private static func hold(_ server: ServerEntry, from source: String?, by attacker: Attacker) async throws {
        var bootstrap = ClientBootstrap(group: attacker.group)
        if let source { bootstrap = bootstrap.bind(to: try SocketAddress(ipAddress: source, port: 0)) }
        let channel = try await bootstrap.connect(host: server.host, port: server.port).get()
        await withTaskCancellationHandler {
            try? await channel.closeFuture.get()
        } onCancel: {
            channel.close(promise: nil)
        }
    }
}
