// solidus rm

import ArgumentParser
import CommandOutcome
import QuorumClient
import QuorumProtocol

struct Remove: AsyncParsableCommand, ReportingCommand {
    static let configuration = CommandConfiguration(
        commandName: "rm", abstract: "Delete an object.", discussion: "An object that does not exist is an error.")

    @OptionGroup var target: ObjectArgument
    @OptionGroup var access: ClientArguments
    @OptionGroup var report: ReportOptions

    private struct Outcome: Encodable {
        let object: String
        let version: String
        let rounds: Int
        let durableAt: [Int]
        let servers: ObservedServers
    }

    func run() async throws {
        let home = try access.home()
        let quorums = home.cluster.parameters.quorums
        let result = try await access.withClient(home, for: target.object) { client throws(ClientError) in
            guard let result = try await client.delete(target.object) else { throw .notFound(target.object) }
            return result
        }
        Report.warn(result.observations)
        try Report.finish(
            report,
            Outcome(
                object: result.key.text, version: result.timestamp.fullName, rounds: result.rounds,
                durableAt: result.durableAt.map { Int($0.rawValue) },
                servers: ObservedServers(result.observations)),
            text: "deleted \(result.key) by version \(result.timestamp), durable at "
                + result.places(of: quorums))
    }
}
