// DIR/run: which processes 'cluster up' started, and the lock that lets one command at a time start or stop them.

import ClusterFiles
import CommandOutcome
import Glibc
import QuorumTransport

/// The pid files of a cluster's servers and of their supervisor.
package struct RunDirectory {
    package let path: String
    private let clusterDirectory: String

    /// The directory of the cluster in `clusterDirectory`; it need not exist.
    package init(clusterDirectory: String) {
        self.clusterDirectory = clusterDirectory
        path = "\(clusterDirectory)/\(ClusterConfiguration.runDirectoryName)"
    }

    package func serverFile(_ index: Int) -> String { "\(path)/server-\(index).pid" }
    package var supervisorFile: String { path + "/supervisor.pid" }
    /// The process that a rolling restart which has not come to its end has started.
    package func restartedFile(_ index: Int) -> String { "\(path)/restarted-\(index).pid" }
    /// The process of the new life that a recovery which has not come to its end has begun.
    package func recoveredFile(_ index: Int) -> String { "\(path)/recovered-\(index).pid" }

    /// The process of a server, if it runs on this machine: by its pid file, or else, if that was lost or somebody else
    /// has started the server, by its store.
    package func server(_ index: Int) -> ProcessStamp? {
        Self.running(serverFile(index)) ?? StoreHolder.process(ofHome: "\(clusterDirectory)/servers/\(index)")
    }

    /// The same, if it was started by 'cluster up' or 'cluster restart' and its pid file is there.
    package func started(_ index: Int) -> ProcessStamp? { Self.running(serverFile(index)) }

    /// The process of a 'cluster up' in the foreground, if it runs.
    package var supervisor: ProcessStamp? { Self.running(supervisorFile) }

    /// Makes the directory, readable by its owner only.
    package func create() throws(Failure) {
        guard mkdir(path, 0o700) == 0 || errno == EEXIST else {
            throw Failure(.inputOutput, "\(path): \(systemText(errno))")
        }
    }

    /// Writes a pid file. If that cannot be, there may be no room on the disk: that is no reason not to run, since a
    /// server is found by its store as well.
    package func note(_ stamp: ProcessStamp?, in file: String) {
        do throws(Failure) {
            try stamp?.write(to: file)
        } catch {
            Standard.complain("warning: \(error.message)")
        }
    }

    /// Removes a pid file unless somebody else has written it anew.
    package func remove(_ file: String, of stamp: ProcessStamp) {
        if ProcessStamp(readingFrom: file) == stamp { unlink(file) }
    }

    /// Runs `body` while no other command starts or stops servers of this cluster.
    package func locked<T>(_ body: () throws -> T) throws -> T {
        let descriptor = try lock()
        defer { close(descriptor) }
        return try body()
    }

    /// The same for what waits.
    package func locked<T>(_ body: () async throws -> T) async throws -> T {
        let descriptor = try lock()
        defer { close(descriptor) }
        return try await body()
    }

    private func lock() throws(Failure) -> Int32 {
        let file = path + "/lock"
        let descriptor = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw Failure(.inputOutput, "\(file): \(systemText(errno))") }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            let code = errno
            close(descriptor)
            throw Failure(
                .inputOutput,
                code == EWOULDBLOCK
                    ? "another command is starting or stopping servers of this cluster; try again when it has ended"
                    : "\(file): \(systemText(code))")
        }
        return descriptor
    }

    private static func running(_ file: String) -> ProcessStamp? {
        guard let stamp = ProcessStamp(readingFrom: file), stamp.isRunning else { return nil }
        return stamp
    }
}
