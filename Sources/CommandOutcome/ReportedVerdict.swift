// A command that did its work and found something wrong has said so already; what is left is its exit code.

/// Ends a command with an exit code, when all that there is to say was printed.
package struct ReportedVerdict: Error {
    package let status: ExitStatus

    package init(status: ExitStatus) { self.status = status }
}
