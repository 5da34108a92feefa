// solidus cluster renew-certificates

import ArgumentParser
import ClusterFiles
import CommandOutcome
import QuorumProtocol

struct RenewCertificates: ParsableCommand, ReportingCommand {
    static let configuration = CommandConfiguration(
        commandName: "renew-certificates",
        abstract: "Give all servers new certificates, without a restart.",
        discussion: """
            Takes the operator's key, DIR/operator/key.pem, and the homes of all servers, DIR/servers/N. It makes new keys \
            and certificates beside those in use, lists both in addresses.toml, and hands that list to the servers. \
            Clients and servers take it over when they next connect; homes elsewhere get copies of the file.

            With --finish, once everybody has that list, the servers show the new certificates, and when all do, the old \
            ones are taken off the list. Who has only an older list can connect to no server any more and needs a copy of \
            the newest one. Both may be repeated after whatever interrupted them. All servers have to run on this machine \
            for --finish. The certificates of clients stay as they are.

            Example: solidus cluster renew-certificates demo
            Example: solidus cluster renew-certificates demo --finish
            """)

    @OptionGroup var target: ClusterArgument
    @Flag(help: "Show the new certificates, and take the old ones off the list.")
    var finish = false
    @OptionGroup var report: ReportOptions

    private struct Outcome: Encodable {
        let finished: Bool
        let addresses: UInt64
    }

    func run() throws {
        let target = try target.place
        let home = try OperatorHome(clusterDirectory: target.path)
        if finish {
            try show(target, home)
        } else {
            _ = try home.prepareCertificates()
        }
        let cluster = try ClusterDescription(contentsOf: target.clusterFile)
        let distribution = try ListDistribution(target, cluster)
        distribution.warn()
        guard distribution.isInForce else { throw distribution.failure }
        let text =
            finish
            ? "one certificate is listed for each server, \(distribution.text)"
            : "new certificates are listed beside the old ones, \(distribution.text); once clients have addresses.toml, "
                + "version \(cluster.lists.addresses.version): "
                + "solidus cluster renew-certificates \(target.path) --finish"
        try Report.finish(
            report, Outcome(finished: finish, addresses: cluster.lists.addresses.version), text: text)
    }

    /// Has all servers show their new certificates, and only then forgets the old ones.
    private func show(_ target: ClusterDirectory, _ home: OperatorHome) throws {
        let pins = try home.placeCertificates()
        guard !pins.isEmpty else { return }
        let distribution = try ListDistribution(target, ClusterDescription(contentsOf: target.clusterFile))
        distribution.warn()
        let others = pins.filter { distribution.certificates[Int($0.key.rawValue)] != $0.value }.keys.sorted()
        guard others.isEmpty else {
            throw Failure(
                .unavailable,
                "\(others.map(\.description).joined(separator: ", ")) did not say that the new certificate is shown; both "
                    + "the old and the new ones count: start who is down, and run this again")
        }
        _ = try home.forgetOldCertificates()
    }
}
