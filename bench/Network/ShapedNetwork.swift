// Machines linked by a switch, imitated on one machine: a network namespace for each server and one for the switch, a
// pair of virtual interfaces for each link, and at both ends of each pair a token bucket that holds it to a rate.
//
// The switch has a namespace of its own because a bridge beside the clients would answer ARP for the clients' address,
// which is its own host's, and the servers' answers would get around the clients' link.

import BenchmarkResults
import Glibc
import Synchronization

/// The links of a run, shared by all its clusters: server i of each has the i-th namespace.
final class ShapedNetwork: Sendable {
    static let serverCountMax = 200
    private static let prefix = "solidus-bench-"
    private static let clientNumber = 254
    private static let firstPort = 7400
    private static let portCount = 50_000

    let rate: LinkRate
    /// The `ip` that starts programs in a namespace.
    let ip: SystemCommand
    private let tc: SystemCommand
    private let range: AddressRange
    private let usedPortCount = Mutex(0)
    private let making: Making

    /// Keeps an interrupted run from making more while another thread removes what it has made.
    private final class Making: Sendable {
        private let isOver = Mutex(false)

        @discardableResult
        func run(_ command: SystemCommand, _ arguments: String) throws(NetworkError) -> String {
            try isOver.withLock { isOver throws(NetworkError) in
                guard !isOver else { throw .interrupted }
                return try command.run(arguments)
            }
        }

        func end() { isOver.withLock { $0 = true } }
    }

    /// Makes the links of so many servers and of the clients, who stay where this process is.
    init(_ rate: LinkRate, serverCount: Int, leftovers: Leftovers) throws(NetworkError) {
        guard geteuid() == 0 else { throw .notRoot }
        guard serverCount <= Self.serverCountMax else {
            throw .tooManyServers(count: serverCount, limit: Self.serverCountMax)
        }
        let ip = try SystemCommand("ip")
        self.rate = rate
        self.ip = ip
        tc = try SystemCommand("tc")
        Self.removeAbandoned(ip)
        guard let range = AddressRange.unused(routes: try ip.run("-4 route show table all")) else {
            throw .noFreeAddresses(ranges: AddressRange.choices.description)
        }
        self.range = range

        let process = getpid()
        let making = Making()
        self.making = making
        leftovers.add {
            making.end()
            Self.remove(
                ip, process: process,
                namespaces: [Self.switchName(process)]
                    + (0..<serverCount).map { Self.serverName(process, $0) })
        }
        try addNamespace(Self.switchName(process))
        try makeSwitch()
        try makeClientLink()
        for index in 0..<serverCount { try makeServerLink(index) }
    }

    // MARK: - Who is where

    private static func switchName(_ process: pid_t) -> String { "\(prefix)\(process)-switch" }
    private static func serverName(_ process: pid_t, _ index: Int) -> String { "\(prefix)\(process)-\(index)" }
    private static func clientInterface(_ process: pid_t) -> String { "sb\(process)c" }

    /// The namespace of a server.
    func namespace(ofServer index: Int) -> String { Self.serverName(getpid(), index) }

    /// The address of a server.
    func address(ofServer index: Int) -> String { range.address(index + 1) }

    /// Ports that no other cluster of this run was given.
    func takePorts(_ count: Int) throws(BenchmarkError) -> [Int] {
        let first = usedPortCount.withLock { used in
            defer { used += count }
            return used
        }
        guard first + count <= Self.portCount else { throw .noFreePorts }
        return (0..<count).map { Self.firstPort + first + $0 }
    }

    // MARK: - Making

    private func addNamespace(_ name: String) throws(NetworkError) {
        do {
            try making.run(ip, "netns add \(name)")
        } catch {
            guard case .commandFailed(_, let reason) = error else { throw error }
            throw .namespacesNotPermitted(reason: reason)
        }
    }

    private func makeSwitch() throws(NetworkError) {
        let inside = "-n \(Self.switchName(getpid()))"
        try making.run(ip, "\(inside) link add bridge type bridge")
        try making.run(ip, "\(inside) link set bridge up")
    }

    private func makeClientLink() throws(NetworkError) {
        let interface = Self.clientInterface(getpid())
        let switchName = Self.switchName(getpid())
        try making.run(ip, "link add \(interface) type veth peer name clients netns \(switchName)")
        try plug("clients")
        try making.run(ip, "addr add \(range.address(Self.clientNumber))/24 dev \(interface)")
        try making.run(ip, "link set \(interface) up")
        try shape(interface, namespace: nil)
    }

    private func makeServerLink(_ index: Int) throws(NetworkError) {
        let namespace = namespace(ofServer: index)
        let port = "server\(index)"
        try addNamespace(namespace)
        try making.run(
            ip, "-n \(Self.switchName(getpid())) link add \(port) type veth peer name uplink netns \(namespace)")
        try plug(port)
        try making.run(ip, "-n \(namespace) addr add \(address(ofServer: index))/24 dev uplink")
        try making.run(ip, "-n \(namespace) link set uplink up")
        try making.run(ip, "-n \(namespace) link set lo up")
        try shape("uplink", namespace: namespace)
    }

    /// Puts the switch's end of a link into the switch.
    private func plug(_ port: String) throws(NetworkError) {
        let switchName = Self.switchName(getpid())
        try making.run(ip, "-n \(switchName) link set \(port) master bridge up")
        try shape(port, namespace: switchName)
    }

    /// Holds what leaves an interface to the rate. The bucket holds what the link carries in 0.6 ms, but at least one
    /// segment as the kernel hands it down (64 KiB), which would else be cut up at a cost that no network card has;
    /// what would wait for more than 50 ms is dropped.
    private func shape(_ interface: String, namespace: String?) throws(NetworkError) {
        let bucketSizeBytes = max(72 << 10, rate.bitsPerSecond / 8 / 10_000 * 6)
        let place = namespace.map { "-n \($0) " } ?? ""
        do {
            try making.run(
                tc,
                "\(place)qdisc add dev \(interface) root tbf rate \(rate.bitsPerSecond)bit "
                    + "burst \(bucketSizeBytes)b latency 50ms")
        } catch {
            guard case .commandFailed(_, let reason) = error else { throw error }
            throw .noShaping(rate, reason: reason)
        }
    }

    // MARK: - Removing

    /// Interfaces go with their namespaces, but some time later; the clients' is taken away at once, since its
    /// addresses must be free for the next run.
    private static func remove(_ ip: SystemCommand, process: pid_t, namespaces: [String]) {
        _ = try? ip.run("link del \(clientInterface(process))")
        for namespace in namespaces { _ = try? ip.run("netns del \(namespace)") }
    }

    /// Takes away what runs left that were killed.
    private static func removeAbandoned(_ ip: SystemCommand) {
        let listed = ((try? ip.run("netns list")) ?? "").split(separator: "\n").compactMap { line in
            line.split(separator: " ").first.map(String.init)
        }
        let byProcess = Dictionary(grouping: listed) { name -> pid_t? in
            guard name.hasPrefix(prefix) else { return nil }
            return name.dropFirst(prefix.count).split(separator: "-").first.flatMap { pid_t($0) }
        }
        for case (let process?, let namespaces) in byProcess where kill(process, 0) != 0 && errno == ESRCH {
            remove(ip, process: process, namespaces: namespaces)
        }
    }
}
