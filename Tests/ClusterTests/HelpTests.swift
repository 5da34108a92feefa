// What the help and the documents say of commands and exit codes is so.

import CommandOutcome
import Foundation
import Testing

extension Clusters {
    @Suite("Help and documents") struct Help {
        private typealias ExitStatus = CommandOutcome.ExitStatus

        private struct Command: Decodable {
            let commandName: String
            let discussion: String?
            let subcommands: [Command]?

            /// Each command that does something, with the words that call it.
            func leaves(_ words: [String] = []) -> [(words: [String], discussion: String)] {
                let words = words + [commandName]
                guard let subcommands, subcommands.contains(where: { $0.commandName != "help" }) else {
                    return commandName == "help" ? [] : [(words, discussion ?? "")]
                }
                return subcommands.flatMap { $0.leaves(words) }
            }
        }

        @Test("every command's help shows how it is called, by words that it takes", .timeLimit(.minutes(2)))
        func examples() async throws {
            try await withTemporaryDirectory { directory in
                struct Dump: Decodable { let command: Command }
                let dump = try await Executable.run(["--experimental-dump-help"], in: directory)
                let commands = try JSONDecoder().decode(Dump.self, from: Data(dump.output.utf8)).command.leaves()
                #expect(commands.count > 20, "\(commands.map(\.words))")
                for (words, discussion) in commands {
                    let call = words.joined(separator: " ")
                    let parts = discussion.split(
                        separator: "Example", maxSplits: 1, omittingEmptySubsequences: false)
                    #expect(parts.count == 2 && parts[1].contains(call), "\(call)")
                }
            }
        }

        @Test("the documented exit codes are those that there are")
        func exitCodes() throws {
            let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
                .deletingLastPathComponent()
            let document = try String(contentsOf: root.appendingPathComponent("docs/operations.md"), encoding: .utf8)
            let section = try #require(document.components(separatedBy: "## Exit codes").dropFirst().first)
            let table = section.components(separatedBy: "\n## ")[0]
            let documented = table.split(separator: "\n").compactMap { line -> Int32? in
                let cells = line.split(separator: "|")
                return cells.count >= 2 ? Int32(cells[0].trimmingCharacters(in: .whitespaces)) : nil
            }
            #expect(documented == ExitStatus.allCases.map(\.rawValue))
            for status in ExitStatus.allCases {
                #expect(ExitStatus.table.contains("\(status.rawValue)  \(status.meaning)"))
            }
            #expect(Set(ExitStatus.allCases.map(\.name)).count == ExitStatus.allCases.count)
        }
    }
}
