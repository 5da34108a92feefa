// What the servers of a cluster say of themselves at a moment, and what that means for each group.

import ClusterFiles
import QuorumProtocol
import QuorumTransport
import QuorumWire

/// As programs are told it. None of it is signed: a lying server says of itself what it likes.
package struct ClusterCondition: Encodable, Sendable {
    /// What a server is good for.
    package enum State: String, Encodable, Sendable {
        case works
        /// It takes no puts before there is space.
        case full
        /// A write failed: it takes nothing before it is started again.
        case failed
        /// It has lost its memory, and does not have everything back.
        case rebuilding
        /// Its store is an earlier state of what it was.
        case rolledBack = "rolled_back"
        case unreachable
    }
    package struct Server: Encodable, Sendable {
        package let number: Int
        package let address: String
        package let zone: String?
        package let reachable: Bool
        package let problem: String?
        package let state: State
        /// What people should know of it besides.
        package let remarks: [String]
        package let status: Status?
        /// Its process, where it runs on this machine.
        package let process: Int?
    }
    package struct Rebuild: Encodable, Sendable {
        package let answers: Bool
        package let isRolledBack: Bool
        package let slotsDone: UInt64
        package let slots: UInt64
        package let serversMissing: UInt64
        package let openVersions: UInt64

        init?(_ rebuild: ServerStatus.Rebuild) {
            guard rebuild.phase != .none else { return nil }
            answers = rebuild.phase == .healing
            isRolledBack = rebuild.phase == .rolledBack
            slotsDone = rebuild.slotsDone
            slots = rebuild.slotsAll
            serversMissing = rebuild.serversMissing
            openVersions = rebuild.openVersions
        }
    }
    package struct Status: Encodable, Sendable {
        package let version: String
        package let epoch: UInt64
        package let incarnation: UInt64
        package let lists: [String: UInt64]
        package let uptimeSeconds: Double
        package let storage: String
        package let usedBytes: UInt64
        package let freeBytes: UInt64
        package let reservedBytes: UInt64
        package let sessions: UInt64
        package let requests: UInt64
        package let lostParts: UInt64
        package let wants: UInt64
        package let failedWants: UInt64
        package let serversToMeet: UInt64
        package let rebuild: Rebuild?
        package let scrubEndSeconds: Double
        package let scrubNeedsSeconds: Double
        package let certificateEndSeconds: UInt64
        package let certificateDaysLeft: Int64
        package let evidence: UInt64
        package let refusals: [String: UInt64]
        package let refusedConnections: [String: UInt64]

        init(_ status: ServerStatus) {
            version = status.version
            epoch = status.epoch
            incarnation = status.incarnation
            lists = [
                "addresses": status.addressesVersion, "keys": status.keysVersion, "access": status.accessVersion,
            ]
            uptimeSeconds = Double(status.uptimeMilliseconds) / 1000
            storage = status.storage.name
            usedBytes = status.usedBytes
            freeBytes = status.freeBytes
            reservedBytes = status.reservedBytes
            sessions = status.sessions
            requests = status.requests
            lostParts = status.lostParts
            wants = status.wants
            failedWants = status.failedWants
            serversToMeet = status.serversToMeet
            rebuild = Rebuild(status.rebuild)
            scrubEndSeconds = Double(status.scrubEndMilliseconds) / 1000
            scrubNeedsSeconds = Double(status.scrubNeedsMilliseconds) / 1000
            certificateEndSeconds = status.certificateEndSeconds
            certificateDaysLeft = CertificateValidity(endSeconds: status.certificateEndSeconds)
                .daysLeft(now: CertificateValidity.currentSecond())
            evidence = status.evidence
            refusals = status.refusals
            refusedConnections = status.refusedConnections
        }

        package var isWritable: Bool { storage == ServerStatus.StorageState.writable.name }
    }
    package struct Group: Encodable, Sendable {
        package let number: Int
        package let servers: [Int]
        package let reachable: Int
        package let writable: Int
        package let needed: Int
        /// How many of its servers may fail beside those that already do, with all its objects read and written: what a
        /// server has yet to bring back counts as if it was not there.
        package let spare: Int
    }

    /// When all had answered, where somebody goes on asking.
    package var time: String?
    package let reachable: Int
    package let servers: [Server]
    package let groups: [Group]

    /// Asks every server at once, as the client whose home this is.
    ///
    /// - Parameter process: the process of a server of this machine; nil for none.
    /// - Throws: `.identity` when the client's key or certificate cannot be used.
    package init(
        asking home: ClientHome, timeoutMilliseconds: Int, process: (NodeID) -> Int? = { _ in nil }
    ) async throws(TransportError) {
        let answers = try await ClusterHealth.ask(home, timeoutMilliseconds: timeoutMilliseconds)
        let nodes = home.cluster.parameters.configuration.nodes
        let servers = zip(home.cluster.servers, nodes).map { entry, node in
            Server(
                number: Int(entry.node.rawValue), address: entry.address, zone: node.zone.isEmpty ? nil : node.zone,
                answers[entry.node], process: process(entry.node))
        }
        self.init(servers, of: home.cluster.parameters)
    }

    init(_ servers: [Server], of parameters: ClusterParameters) {
        let configuration = parameters.configuration
        // One that has to be told first what it has forgotten answers nothing else.
        let reachable = Set(servers.filter(\.answers).map(\.number))
        let writable = Set(servers.filter { $0.answers && $0.status?.isWritable ?? false }.map(\.number))
        let whole = Set(servers.filter(\.isWhole).map(\.number))
        self.servers = servers
        self.reachable = reachable.count
        groups = configuration.groups.map { group in
            let members = group.members.map { Int($0.rawValue) }
            let needed = configuration.quorums.quorum
            return Group(
                number: Int(group.id.rawValue), servers: members, reachable: members.count(where: reachable.contains),
                writable: members.count(where: writable.contains), needed: needed,
                spare: max(0, members.count(where: whole.contains) - needed))
        }
    }

    /// Whether every group has as many servers at work as it needs.
    package var isAvailable: Bool { groups.allSatisfy { $0.reachable >= $0.needed } }
}

extension ClusterCondition.Server {
    init(number: Int, address: String, zone: String?, _ answer: ClusterHealth.Answer?, process: Int?) {
        let (said, problem): (ServerStatus?, String?) =
            switch answer {
            case .answer(let status)?: (status, nil)
            case .silent(let why)?: (nil, why)
            case .unreachable(let error)?: (nil, error.description)
            case nil: (nil, "it was not asked")
            }
        let status = said.map(ClusterCondition.Status.init)
        self.init(
            number: number, address: address, zone: zone, reachable: status != nil, problem: problem,
            state: status?.state ?? .unreachable, remarks: status?.remarks.map(\.text) ?? [], status: status,
            process: process)
    }

    /// Whether it does what it is asked.
    var answers: Bool { reachable && status?.rebuild?.answers ?? true }

    /// Whether it is as good as if nothing had ever happened.
    package var isWhole: Bool {
        guard let status, state == .works else { return false }
        return status.wants == 0 && status.serversToMeet == 0
    }
}

extension ClusterCondition.Status {
    fileprivate var state: ClusterCondition.State {
        if let rebuild { return rebuild.isRolledBack ? .rolledBack : .rebuilding }
        switch storage {
        case ServerStatus.StorageState.writable.name: return .works
        case ServerStatus.StorageState.full.name: return .full
        default: return .failed
        }
    }
}

extension CertificateValidity {
    /// Of a certificate of which only the end is known.
    init(endSeconds: UInt64) { self.init(notBefore: 0, notAfter: Int64(clamping: endSeconds)) }
}

extension ServerStatus.StorageState {
    /// The state's name in JSON.
    package var name: String {
        switch self {
        case .writable: "writable"
        case .full: "full"
        case .failed: "failed"
        }
    }
}
