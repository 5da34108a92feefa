// A bucket as a file system, by s3fs. It is mounted in a name space of its own, which is gone with the process: a test
// that is killed leaves no mount behind.

import Foundation
import Glibc
import Testing

enum S3Mount {
    /// Whether this machine lets this process mount by FUSE.
    static let isPossible: Bool = {
        let device = open("/dev/fuse", O_RDWR | O_CLOEXEC)
        guard device >= 0 else { return false }
        close(device)
        return geteuid() == 0 && S3Client.find("s3fs") != nil && S3Client.find("unshare") != nil
    }()

    /// What is done with it, twice mounted: copies, renames, changes in place, attributes, links, deletions. `$1` is a
    /// large file.
    private static let script = """
        set -eu
        mkdir mount files files/d 'files/a b'
        echo plus > 'files/a b/c+d%20 ü'; : > files/empty; echo one > files/d/one
        mount_it() {
            s3fs s3fs mount -f -o url="$AWS_ENDPOINT_URL" -o use_path_request_style &
            for _ in $(seq 100); do mountpoint -q mount && return; sleep 0.1; done
            exit 1
        }
        mount_it
        cp -r files/. mount/ && diff -r files mount
        cp "$1" mount/big && cmp "$1" mount/big
        mv mount/big mount/renamed && mv mount/d mount/moved
        echo two >> mount/moved/one
        ln -s empty mount/link
        chmod 600 mount/empty
        truncate -s 30000001 mount/renamed
        printf changed | dd of=mount/renamed bs=1 seek=20000000 conv=notrunc
        mkdir mount/short && rmdir mount/short
        rm 'mount/a b/c+d%20 ü'
        umount mount; wait
        mount_it
        cp "$1" expected && truncate -s 30000001 expected
        printf changed | dd of=expected bs=1 seek=20000000 conv=notrunc
        cmp expected mount/renamed
        test "$(cat mount/moved/one)" = "$(printf 'one\\ntwo')"
        test "$(readlink mount/link)" = empty && test "$(stat -c %a mount/empty)" = 600
        test "$(ls mount | tr '\\n' ' ')" = 'a b empty link moved renamed ' && test -z "$(ls 'mount/a b')"
        rm -r mount/* && test -z "$(ls mount)"
        umount mount; wait
        echo done
        """

    static func exercise(_ gateway: TestGateway, sizeBytes: Int) async throws {
        try await gateway.cluster.makeBucket("s3fs")
        let directory = "\(gateway.cluster.directory)/s3fs"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        let big = "\(directory)/large"
        try File.write(big, SeededBytes.make("s3fs", sizeBytes).array)
        let result = try await gateway.run(
            ["unshare", "--mount", "/bin/sh", "-c", script, "s3fs", big],
            settings: ["AWSACCESSKEYID=\(gateway.accessKey)", "AWSSECRETACCESSKEY=\(gateway.secretKey)"],
            in: directory)
        #expect(result.end == .exit(0) && result.output.contains("done"), "\(result)")
    }
}
