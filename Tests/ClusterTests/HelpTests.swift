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

        private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()

        private func commands(_ directory: String) async throws -> [(words: [String], discussion: String)] {
            struct Dump: Decodable { let command: Command }
            let dump = try await Executable.run(["--experimental-dump-help"], in: directory)
            return try JSONDecoder().decode(Dump.self, from: Data(dump.output.utf8)).command.leaves()
        }

        @Test("every command's help shows how it is called, by words that it takes", .timeLimit(.minutes(2)))
        func examples() async throws {
            try await withTemporaryDirectory { directory in
                let commands = try await commands(directory)
                #expect(commands.count > 20, "\(commands.map(\.words))")
                for (words, discussion) in commands {
                    let call = words.joined(separator: " ")
                    let parts = discussion.split(
                        separator: "Example", maxSplits: 1, omittingEmptySubsequences: false)
                    #expect(parts.count == 2 && parts[1].contains(call), "\(call)")
                }
            }
        }

        @Test(
            "what is installed is the program, a page for each command, and completions that the shell can read",
            .timeLimit(.minutes(2)))
        func installed() async throws {
            try await withTemporaryDirectory { directory in
                let script =
                    "\"$0/make-manual\" \"$1\" \"$2\" \"$3/pages\" && \"$0/install\" \"$2\" \"$3/pages\" \"$3/usr\" "
                    + "&& bash -n \"$3/usr/share/bash-completion/completions/solidus\""
                let process = try ChildProcess(
                    "/bin/bash",
                    [
                        "-c", script, Self.root.path + "/scripts", Executable.path("generate-manual"),
                        Executable.path(), directory,
                    ], outputPath: directory + "/output", group: Watchdog.group.get())
                defer { process.destroy() }
                #expect(try await process.wait(seconds: 100) == .exit(0), "\(process.output)")
                for (words, _) in try await commands(directory) {
                    let page = try File.text("\(directory)/usr/share/man/man1/\(words.joined(separator: "-")).1")
                    #expect(page.contains(".Sh EXAMPLES") && page.contains(".Sh EXIT STATUS"), "\(words)")
                    #expect(page.contains("\n" + words.joined(separator: " ")), "\(words)")
                }
                #expect(try File.text(directory + "/usr/share/man/man1/solidus.1").contains("\n  130  "))
                for name in [
                    "bin/solidus", "share/zsh/site-functions/_solidus", "share/fish/vendor_completions.d/solidus.fish",
                ] {
                    #expect(try !File.read("\(directory)/usr/\(name)").isEmpty, "\(name)")
                }
            }
        }

        @Test("the documented exit codes are those that there are")
        func exitCodes() throws {
            let document = try String(
                contentsOf: Self.root.appendingPathComponent("docs/operations.md"), encoding: .utf8)
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
