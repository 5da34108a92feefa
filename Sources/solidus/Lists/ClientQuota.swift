// solidus client quota

import ArgumentParser
import ClusterFiles
import CommandOutcome
import QuorumProtocol

struct ClientQuota: ParsableCommand, ReportingCommand {
    static let configuration = CommandConfiguration(
        commandName: "quota",
        abstract: "Set what each server keeps for a client.",
        discussion: """
            What is not named stays as it is; 'none' takes a quota back. A value of S bytes takes about S/M bytes at each \
            server, where M is the cluster's number of data fragments, and 2 KiB in its index. What is stored already stays. \
            A gateway, which is many users in one client, may need more than a tenth of a disk for what is under way.

            Examples:
              solidus client quota demo guest --bytes 500GiB
              solidus client quota demo guest --bytes none
            """)

    @OptionGroup var target: ClusterAndClient
    @Option(
        help: """
            Bytes of what the client has written: a number, with KiB, MiB, GiB or TiB if you like. Nine tenths of each \
            server's disk when none is set.
            """, transform: ByteQuota.init)
    var bytes: ByteQuota?
    @Option(
        help: """
            Hundredths of the disk for what the client has not committed, while less than half of the disk is free. 10 when \
            none is set.
            """, transform: { CountQuota(try quota($0, most: UInt64(ClientQuotas.uncommittedPercentMax))) })
    var uncommittedPercent: CountQuota?
    @Option(
        help: "Versions at new objects of which none was committed. 10000 when none is set.",
        transform: { CountQuota(try quota($0, most: UInt64(ClientQuotas.bareVersionsMax))) })
    var bareVersions: CountQuota?
    @OptionGroup var report: ReportOptions

    /// A number of bytes, or none.
    struct ByteQuota {
        let bytes: UInt64?

        init(_ text: String) throws {
            if text == "none" {
                bytes = nil
                return
            }
            let units: [(String, Int)] = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40), ("", 0)]
            for (unit, shift) in units where text.hasSuffix(unit) {
                guard let number = UInt64(text.dropLast(unit.count)), number <= (UInt64(1) << 62) >> shift else {
                    break
                }
                bytes = number << shift
                return
            }
            throw ValidationError("'\(text)' is no number of bytes: write something like 500GiB, or 'none'.")
        }
    }

    /// A number, or none.
    struct CountQuota {
        let count: UInt64?

        init(_ count: UInt64?) { self.count = count }
    }

    func validate() throws {
        guard bytes != nil || uncommittedPercent != nil || bareVersions != nil else {
            throw ValidationError("Say which quota: --bytes, --uncommitted-percent or --bare-versions.")
        }
    }

    func run() throws {
        let (target, name) = (try target.place, target.name)
        var quotas = ClientQuotas()
        let list = try OperatorHome(clusterDirectory: target.path).setQuotas(name) { changed in
            if let bytes { changed.storedBytes = bytes.bytes }
            if let uncommittedPercent { changed.uncommittedPercent = uncommittedPercent.count.map { UInt8($0) } }
            if let bareVersions { changed.bareVersions = bareVersions.count.map { UInt32($0) } }
            quotas = changed
        }
        let cluster = try ClusterDescription(contentsOf: target.clusterFile)
        let distribution = try ListDistribution(target, cluster)
        distribution.warn()
        let what = quotas.text.map { "\($0) at each server" } ?? "what each server's own limits are"
        try Report.finish(
            report,
            ChangedClient(client: name, home: nil, lists: DistributedLists(cluster, distribution)),
            text: "client \(name) may have \(what); access list \(list.version) is \(distribution.text)")
    }
}

/// A whole number up to `most`, or none.
private func quota(_ text: String, most: UInt64) throws -> UInt64? {
    if text == "none" { return nil }
    guard let number = UInt64(text), number <= most else {
        throw ValidationError("'\(text)' is no number up to \(most), nor 'none'.")
    }
    return number
}

/// Quotas in JSON; what is not set is left out.
struct ClientQuotaReport: Encodable {
    let storedBytes: UInt64?
    let uncommittedPercent: UInt8?
    let bareVersions: UInt32?

    init(_ quotas: ClientQuotas) {
        storedBytes = quotas.storedBytes
        uncommittedPercent = quotas.uncommittedPercent
        bareVersions = quotas.bareVersions
    }
}

extension ClientQuotas {
    /// For people; nil when nothing is set.
    var text: String? {
        let parts = [
            storedBytes.map { "\($0) bytes" },
            uncommittedPercent.map { "\($0) % of the disk uncommitted" },
            bareVersions.map { "\($0) versions at new objects" },
        ].compactMap { $0 }
        return parts.isEmpty ? nil : parts.joined(separator: ", ")
    }
}
