// Why there is no network of links with a rate.

import BenchmarkResults

enum NetworkError: Error, CustomStringConvertible {
    case notRoot
    case commandMissing(name: String)
    /// The system does not let this process make network namespaces; `reason` is what it says.
    case namespacesNotPermitted(reason: String)
    /// The kernel cannot hold a link to a rate; `reason` is what it says.
    case noShaping(LinkRate, reason: String)
    /// Every address range that could be taken is in use already.
    case noFreeAddresses(ranges: String)
    case tooManyServers(count: Int, limit: Int)
    /// The run is being ended by a signal.
    case interrupted
    case commandFailed(command: String, reason: String)

    var description: String {
        switch self {
        case .notRoot:
            "--network makes network namespaces, which only root may; run as root, or without --network"
        case .commandMissing(let name):
            "--network needs '\(name)', which is not installed; on Debian: apt-get install iproute2"
        case .namespacesNotPermitted(let reason):
            "--network needs network namespaces, which this system does not permit: \(reason); "
                + "in a container, give it CAP_SYS_ADMIN and CAP_NET_ADMIN"
        case .noShaping(let rate, let reason):
            "a link cannot be held to \(rate.rawValue): \(reason); the kernel needs sch_tbf (CONFIG_NET_SCH_TBF)"
        case .noFreeAddresses(let ranges):
            "--network finds no free addresses: routes overlap with all of \(ranges)"
        case .tooManyServers(let count, let limit):
            "--network has addresses for \(limit) servers, not \(count)"
        case .interrupted:
            "interrupted"
        case .commandFailed(let command, let reason):
            "'\(command)' failed: \(reason)"
        }
    }
}
