// Who is connected to a server, and the decision whether one more may be.

import NIOCore
import Synchronization

/// The connections of one endpoint, shared by its event loops.
final class SessionRegistry: Sendable {
    private struct State {
        var directory: PeerDirectory
        var channels: [ObjectIdentifier: any Channel] = [:]
        var sessions: [ObjectIdentifier: Session] = [:]
        var sessionCounts: [PeerIdentity: Int] = [:]
        var clientSessionCount = 0
        var isShuttingDown = false
    }

    private let limits: AdmissionLimits
    private let state: Mutex<State>

    init(directory: PeerDirectory, limits: AdmissionLimits) {
        self.limits = limits
        state = Mutex(State(directory: directory))
    }

    /// Whose certificate this is.
    func identity(of pin: CertificatePin) -> PeerIdentity? {
        state.withLock { $0.directory.identity(of: pin) }
    }

    /// Notes an accepted connection; false when there are too many, or too many in their handshake, or the endpoint stops.
    func admit(_ channel: any Channel) -> Bool {
        state.withLock { state in
            guard !state.isShuttingDown, state.channels.count < limits.maximumConnections,
                state.channels.count - state.sessions.count < limits.maximumHandshakes
            else { return false }
            state.channels[ObjectIdentifier(channel)] = channel
            return true
        }
    }

    /// Notes a session, or says why there may not be one. The directory is asked again: it may have changed since TLS.
    func open(_ session: Session) -> ConnectionRefusal? {
        state.withLock { state in
            guard !state.isShuttingDown else { return .shuttingDown }
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
            state.sessionCounts[session.identity] = sessionCount + 1
            state.sessions[ObjectIdentifier(session.channel)] = session
            return nil
        }
    }

    /// Forgets a channel and its session.
    func remove(_ channel: any Channel) {
        state.withLock { state in
            let key = ObjectIdentifier(channel)
            state.channels[key] = nil
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

    /// Admits nobody any more and returns the sessions.
    func beginShutdown() -> [Session] {
        state.withLock { state in
            state.isShuttingDown = true
            return Array(state.sessions.values)
        }
    }

    /// The channels still there.
    var openChannels: [any Channel] { state.withLock { Array($0.channels.values) } }

    /// Number of sessions.
    var sessionCount: Int { state.withLock { $0.sessions.count } }
}
