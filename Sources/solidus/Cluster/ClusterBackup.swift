// solidus cluster backup

import ArgumentParser
import ClusterFiles
import CommandOutcome

struct ClusterBackup: ParsableCommand, ReportingCommand {
    static let configuration = CommandConfiguration(
        commandName: "backup",
        abstract: "Copy what has to be kept of a cluster, in case that its directory is lost.",
        discussion: """
            Copies cluster.toml, the lists, the operator's key, the homes of listed clients that are here, and what the \
            home of a server needs for being rebuilt (server.toml, key.pem, certificate.pem). Not copied are stores and \
            the keys of servers' statements: a second life of a server from a copy would have forgotten what the first \
            one has promised. All of it is checked, and nothing is copied when something is missing. The copy is there in \
            full and synced, or not at all; the directory must be absent or empty.

            Whoever has the copy decides who may use the cluster. Keep it offline, and make a new one after each change of \
            a list. 'solidus cluster restore' makes a cluster's directory of it.

            Example: solidus cluster backup demo --to /media/safe/demo
            """)

    @OptionGroup var target: ClusterArgument
    @Option(name: .customLong("to"), help: "The directory to make.", completion: .directory)
    var copy: String
    @OptionGroup var report: ReportOptions

    private struct Outcome: Encodable {
        struct Omission: Encodable {
            let what: String
            let why: String
        }
        let backup: String
        let lists: [String: UInt64]
        let copied: [String]
        let leftOut: [Omission]
        let elsewhere: [String]
    }

    func run() throws {
        let target = try target.place
        let contents = try BackupContents(of: target.path)
        try contents.copy(to: copy)
        Standard.complain(
            "warning: \(copy) holds secret keys, the operator's among them: keep it where only the operator has access")
        try Report.finish(
            report,
            Outcome(
                backup: copy, lists: contents.cluster.listVersions, copied: contents.files,
                leftOut: contents.omissions.map { Outcome.Omission(what: $0.what, why: $0.why) },
                elsewhere: contents.elsewhere),
            text: text(contents).joined(separator: "\n"))
    }

    private func text(_ contents: BackupContents) -> [String] {
        var lines = ["copied to \(copy):"] + contents.files.map { "  \($0)" }
        if !contents.omissions.isEmpty {
            lines.append("left out:")
            lines += contents.omissions.map { "  \($0.what): \($0.why)" }
        }
        if !contents.elsewhere.isEmpty {
            lines.append("not here, to be kept where they are (of a server server.toml, key.pem and certificate.pem):")
            lines.append("  " + contents.elsewhere.joined(separator: ", "))
        }
        return lines
    }
}

extension ClusterDescription {
    /// The versions of the lists, by their names in JSON.
    var listVersions: [String: UInt64] {
        ["addresses": lists.addresses.version, "keys": lists.keys.version, "access": lists.access.version]
    }
}
