// Who attacks: an identity of the cluster, or a stranger, with what it knows and counts.

import ClusterFiles
import NIOCore
import NIOPosix
import NIOSSL
import QuorumProtocol
import QuorumTransport
import Synchronization

/// A hostile client. One is good for one attack.
package final class Attacker: Sendable {
    package let home: ClientHome
    /// Objects that others write, for attacks on these.
    package let objects: [ObjectKey]
    /// The servers' stores, as far as they are on this machine, for attacks that have the machine forget them.
    package let stores: [String]
    package let tally = AttackTally()
    private let pace: Pace?
    private let isPaced = Atomic(false)
    let group: any EventLoopGroup
    let tls: NIOSSLContext
    /// In the names of all that it writes, so that no attack meets what another one left.
    let name: String

    var parameters: ClusterParameters { home.cluster.parameters }
    var servers: [ServerEntry] { home.cluster.servers }

    /// - Parameter perSecond: how many requests and connections together it may make to each server a second, from
    ///   `beginPace` on; nil for as many as it can.
    /// - Throws: when TLS refuses the home's key or certificate.
    package init(
        home: ClientHome, objects: [ObjectKey] = [], stores: [String] = [], perSecond: Double? = nil,
        group: any EventLoopGroup
    ) throws(IdentityError) {
        self.home = home
        self.objects = objects
        self.stores = stores
        self.group = group
        pace = perSecond.map(Pace.init)
        name = "hostile/\(home.id)/\(UInt64.random(in: .min ... .max))"
        tls = try home.identity.clientContext(closeTimeout: .milliseconds(100))
    }

    /// From now on it does no more a second than it may. The preparation of an attack is not to take for ever.
    package func beginPace() { isPaced.store(true, ordering: .releasing) }

    /// Returns when the next request or connection to a server may go.
    ///
    /// - Throws: when the task is cancelled.
    package func waitForTurn(at server: NodeID) async throws {
        try Task.checkCancellation()
        if isPaced.load(ordering: .acquiring) { try await pace?.wait(for: server) }
    }

    /// The attacker's own object of this name.
    func key(_ name: String) -> ObjectKey {
        guard let key = try? ObjectKey("\(self.name)/\(name)") else {
            preconditionFailure("an attacker's own key is none")
        }
        return key
    }

    /// An object of the attacker's own of which the server has a part; nil if there is none.
    func key(_ name: String, at server: NodeID) -> ObjectKey? {
        // Every group has slots by the dozen.
        (0..<10_000).lazy.map { self.key("\(name)/\($0)") }.first {
            self.parameters.placement(of: $0).position(of: server) != nil
        }
    }

    // MARK: Sessions

    /// Opens a session, hands it to `body`, and closes it when that has ended or the task is cancelled.
    func withSession<T: Sendable>(
        at server: ServerEntry, _ body: @Sendable (HostileSession) async throws -> T
    ) async throws -> T {
        try Task.checkCancellation()
        return try await using(try await HostileSession.open(to: server, by: self), body)
    }

    /// Hands a session to `body`, and closes it when that has ended or the task is cancelled.
    private func using<T: Sendable>(
        _ session: HostileSession, _ body: @Sendable (HostileSession) async throws -> T
    ) async throws -> T {
        try await withTaskCancellationHandler {
            do {
                let result = try await body(session)
                await session.close()
                return result
            } catch {
                await session.close()
                throw error
            }
        } onCancel: {
            session.abandon()
        }
    }

    /// Keeps so many sessions at a server until the task is cancelled, each in the hands of `body` until that ends. They
    /// are opened one after another: all at once, on a slow machine, none would get through its handshake in time.
    ///
    /// - Parameter pause: how long to wait after the server has refused one.
    func hold(
        _ count: Int, at server: ServerEntry, pause: Duration,
        _ body: @escaping @Sendable (HostileSession, _ place: Int) async throws -> Void
    ) async {
        await withTaskGroup(of: Int.self) { holders in
            var free = Array(0..<count)
            while !Task.isCancelled {
                if free.isEmpty, let place = await holders.next() { free.append(place) }
                guard let place = free.last else { continue }
                do {
                    let session = try await HostileSession.open(to: server, by: self)
                    free.removeLast()
                    holders.addTask {
                        try? await self.using(session) { try await body($0, place) }
                        return place
                    }
                } catch {
                    try? await Task.sleep(for: pause)
                }
            }
        }
    }

    /// Opens a session and hands it to `body`, again and again until the task is cancelled.
    ///
    /// - Parameter pause: how long to wait after the server has ended or refused one.
    func persist(
        at server: ServerEntry, pause: Duration = .milliseconds(10),
        _ body: @Sendable (HostileSession) async throws -> Void
    ) async {
        while !Task.isCancelled {
            do {
                try await withSession(at: server, body)
            } catch {
                // Whatever the server did about it, it is the next one's turn.
                try? await Task.sleep(for: pause)
            }
        }
    }

    /// Does the same to every server, at so many places at a time, until the task is cancelled.
    func besiege(
        placesPerServer: Int = 1, _ body: @escaping @Sendable (ServerEntry, _ place: Int) async -> Void
    ) async {
        await withTaskGroup(of: Void.self) { tasks in
            for server in servers {
                for place in 0..<placesPerServer { tasks.addTask { await body(server, place) } }
            }
        }
    }
}
