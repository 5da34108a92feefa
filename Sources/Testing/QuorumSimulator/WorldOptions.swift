// What a user of the simulator may pin; everything else is drawn from the seed.

import QuorumFaults
import QuorumProtocol

/// What can go wrong without anybody lying.
package enum EnvironmentFault: String, CaseIterable, Sendable {
    case loss
    case duplication
    /// Messages that take far longer than others.
    case delays
    /// Messages that come once more, far later.
    case echoes
    case slowServers = "slow-servers"
    case partitions
    case crashes
    /// Losses of power the moment a read is over.
    case powerFailures = "power-failures"
    case clientCrashes = "client-crashes"
    /// Stored fragments, versions or records that cannot be read any more.
    case rot
    case lostDisk = "lost-disk"
    /// Servers that lose everything, and are rebuilt.
    case wipes
    case fullDisk = "full-disk"
    /// A disk on which writes fail, whether or not they have reached it.
    case failingDisk = "failing-disk"
}

/// The faults that a world may have.
package struct FaultSelection: Sendable, Equatable {
    package var environment: [EnvironmentFault]
    package var servers: [ServerFaultKind]
    package var clients: [ClientFaultKind]
    /// Whether every world has the selected liars in it, as many as may be; otherwise some have and some have not.
    package var isInsistent = false

    package static let all = FaultSelection(
        environment: EnvironmentFault.allCases, servers: ServerFaultKind.allCases, clients: ClientFaultKind.allCases)
    package static let none = FaultSelection(environment: [], servers: [], clients: [])

    package init(environment: [EnvironmentFault], servers: [ServerFaultKind], clients: [ClientFaultKind]) {
        self.environment = environment
        self.servers = servers
        self.clients = clients
    }

    /// The selection that a list of names means: `all`, `none`, `environment`, `servers`, `clients`, and the raw values
    /// of the kinds; a kind that servers and clients share may be prefixed with `server:` or `client:`.
    ///
    /// - Throws: `UnknownFault` for a name that is none of these.
    package init(names: [String]) throws(UnknownFault) {
        self = .none
        for name in names {
            switch name {
            case "all": self = .all
            case "none": break
            case "environment": environment += EnvironmentFault.allCases
            case "servers": servers += ServerFaultKind.allCases
            case "clients": clients += ClientFaultKind.allCases
            default: try add(name)
            }
        }
        isInsistent = !names.contains("all")
    }

    private mutating func add(_ name: String) throws(UnknownFault) {
        let isForServers = name.hasPrefix("server:")
        let isForClients = name.hasPrefix("client:")
        let kind = isForServers || isForClients ? String(name.dropFirst("server:".count)) : name
        var isKnown = false
        if !isForClients, let server = ServerFaultKind(rawValue: kind) {
            servers.append(server)
            isKnown = true
        }
        if !isForServers, let client = ClientFaultKind(rawValue: kind) {
            clients.append(client)
            isKnown = true
        }
        if !isForServers, !isForClients, let fault = EnvironmentFault(rawValue: kind) {
            environment.append(fault)
            isKnown = true
        }
        guard isKnown else { throw UnknownFault(name: name) }
    }

    /// All names that a selection may be made of.
    package static var names: [String] {
        ["all", "none", "environment", "servers", "clients"] + EnvironmentFault.allCases.map(\.rawValue)
            + ServerFaultKind.allCases.map(\.rawValue) + ClientFaultKind.allCases.map(\.rawValue)
    }
}

/// A name that is no fault's.
package struct UnknownFault: Error, Equatable {
    package let name: String

    package init(name: String) { self.name = name }
}

/// What is pinned of a world.
package struct WorldOptions: Sendable, Equatable {
    /// f; nil draws 1 or 2.
    package var faultCount: Int?
    /// m; nil draws f + 1 mostly.
    package var dataFragmentCount: Int?
    package var mode = VerificationMode.fingerprint
    /// Whether there are several groups of servers; nil draws.
    package var hasSeveralGroups: Bool?
    /// Whether the servers have real stores; nil draws, one world in twenty.
    package var hasRealStores: Bool?
    package var clientCount = 3
    /// How many operations the clients do together.
    package var operationCount = 30
    package var faults = FaultSelection.all
    /// Parts of the plan that are left out.
    package var removed: Set<PlanPart> = []
    package var planted: PlantedError?

    package init() {}
}
