// Who is connected to a server, and the decision whether one more may be.

import NIOCore
import Synchronization

/// The connections of one endpoint, shared by its event loops.
final class SessionRegistry: Sendable {
    private struct State {
        var directory: PeerDirectory
        var nodeSources: Set<SourceAddress>
        /// Whoever is known to stand where a node is listed.
        var nodeHandshakes: HandshakeTable<ObjectIdentifier>
        var otherHandshakes: HandshakeTable<ObjectIdentifier>
        var channels: [ObjectIdentifier: any Channel] = [:]
        var sessions: [ObjectIdentifier: Session] = [:]
        var sessionCounts: [PeerIdentity: Int] = [:]
        var clientSessionCount = 0
        var isShuttingDown = false
    }

    private let limits: AdmissionLimits
    private let state: Mutex<State>

    init(directory: PeerDirectory, nodeSources: Set<SourceAddress>, limits: AdmissionLimits) {
        self.limits = limits
        state = Mutex(
            State(
                directory: directory, nodeSources: nodeSources,
                nodeHandshakes: HandshakeTable(
                    maximum: limits.maximumNodeHandshakes, maximumPerSource: limits.maximumHandshakesPerSource),
                otherHandshakes: HandshakeTable(
                    maximum: limits.maximumHandshakes, maximumPerSource: limits.maximumHandshakesPerSource)))
    }

    /// Whose certificate this is.
    func identity(of pin: CertificatePin) -> PeerIdentity? {
        state.withLock { $0.directory.identity(of: pin) }
    }

    /// What becomes of an accepted connection.
    enum Admission {
        /// It may go on; the other one, if any, has lost its place to it.
        case admitted(evicted: (any Channel)?)
        /// There are as many connections as there may be.
        case full
        /// The endpoint stops.
        case shuttingDown
    }

    /// Notes an accepted connection.
    func admit(_ channel: any Channel, from source: SourceAddress) -> Admission {
        state.withLock { state in
            guard !state.isShuttingDown else { return .shuttingDown }
            guard state.channels.count < limits.maximumConnections else { return .full }
            let key = ObjectIdentifier(channel)
            state.channels[key] = channel
            var generator = SystemRandomNumberGenerator()
            let evicted =
                state.nodeSources.contains(source)
                ? state.nodeHandshakes.add(key, from: source, using: &generator)
                : state.otherHandshakes.add(key, from: source, using: &generator)
            return .admitted(evicted: evicted.flatMap { state.channels[$0] })
        }
    }

    /// Notes a session, or says why there may not be one. The directory is asked again: it may have changed since TLS.
    func open(_ session: Session) -> ConnectionRefusal? {
        state.withLock { state in
            let key = ObjectIdentifier(session.channel)
            guard !state.isShuttingDown else { return .shuttingDown }
            guard state.nodeHandshakes.contains(key) || state.otherHandshakes.contains(key) else {
                return .tooManyConnections(limit: UInt32(clamping: limits.maximumHandshakes))
            }
            guard state.directory.identity(of: session.pin) == session.identity else { return .unknownPeer }
            let sessionCount = state.sessionCounts[session.identity] ?? 0
            guard sessionCount < limits.maximumSessionsPerPeer else {
                return .tooManyConnections(limit: UInt32(clamping: limits.maximumSessionsPerPeer))
            }
            if case .client = session.identity {
                guard state.clientSessionCount < limits.maximumClientSessions else {
                    return .tooManyConnections(limit: UInt32(clamping: limits.maximumClientSessions))
                }
                state.clientSessionCount += 1
            }
            state.nodeHandshakes.remove(key)
            state.otherHandshakes.remove(key)
            state.sessionCounts[session.identity] = sessionCount + 1
            state.sessions[key] = session
            return nil
        }
    }

    /// Forgets a channel and its session.
    func remove(_ channel: any Channel) {
        state.withLock { state in
            let key = ObjectIdentifier(channel)
            state.channels[key] = nil
            state.nodeHandshakes.remove(key)
            state.otherHandshakes.remove(key)
            guard let session = state.sessions.removeValue(forKey: key) else { return }
            if case .client = session.identity { state.clientSessionCount -= 1 }
            let remaining = (state.sessionCounts[session.identity] ?? 1) - 1
            state.sessionCounts[session.identity] = remaining == 0 ? nil : remaining
        }
    }

    /// Replaces the directory and returns the sessions that it no longer covers.
    func replaceDirectory(_ directory: PeerDirectory) -> [Session] {
        state.withLock { state in
            state.directory = directory
            return state.sessions.values.filter { directory.identity(of: $0.pin) != $0.identity }
        }
    }

    /// From now on newcomers from these sources have the places kept for nodes.
    func keepPlaces(for nodeSources: Set<SourceAddress>) {
        state.withLock { $0.nodeSources = nodeSources }
    }

    /// Admits nobody any more and returns the sessions.
    func beginShutdown() -> [Session] {
        state.withLock { state in
            state.isShuttingDown = true
            return Array(state.sessions.values)
        }
    }

    /// The channels still there.
    var openChannels: [any Channel] { state.withLock { Array($0.channels.values) } }

    /// The sessions open now.
    var sessions: [Session] { state.withLock { Array($0.sessions.values) } }

    /// Number of sessions.
    var sessionCount: Int { state.withLock { $0.sessions.count } }

    /// Number of handshakes that have a place.
    var handshakeCount: Int { state.withLock { $0.nodeHandshakes.count + $0.otherHandshakes.count } }
}
