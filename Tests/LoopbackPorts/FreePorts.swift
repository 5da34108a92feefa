// Ports for the servers of test clusters.

import Glibc
import Synchronization

/// Hands out ports that nobody listens on now, one after the other, so that tests that run side by side do not meet.
/// They lie below the range from which the system takes the near ends of outgoing connections: a server that starts
/// later, or once more, finds its port still free.
package enum FreePorts {
    package struct NoneFree: Error {}

    private static let candidates = 12_000..<32_000
    /// Where to look next; another run of the tests most likely looks elsewhere.
    private static let next = Mutex(Int.random(in: candidates))

    package static func take(_ count: Int) throws -> [Int] {
        try next.withLock { next in
            var ports: [Int] = []
            for _ in candidates where ports.count < count {
                let port = next
                next = port + 1 == candidates.upperBound ? candidates.lowerBound : port + 1
                if isFree(port) { ports.append(port) }
            }
            guard ports.count == count else { throw NoneFree() }
            return ports
        }
    }

    /// The first of `count` consecutive ports.
    package static func takeConsecutive(_ count: Int) throws -> Int {
        for _ in 0..<1000 {
            let ports = try take(count)
            if zip(ports, ports.dropFirst()).allSatisfy({ $0 + 1 == $1 }) { return ports[0] }
        }
        throw NoneFree()
    }

    private static func isFree(_ port: Int) -> Bool {
        guard let descriptor = Loopback.listen(port: port) else { return false }
        close(descriptor)
        return true
    }
}
