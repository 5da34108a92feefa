// The file system that RocksDB writes through, which spares it every failed write.
//
// RocksDB 7.8 as Debian builds it has its assertions on, and a writer that is used once more after a failed write trips
// one: a full disk ends the process. A failed flush besides makes it refuse writes until somebody resumes it. So:
//
// - A write that finds no room uses up the room set aside, and then waits until there is some. Only background threads
//   write files, so no caller waits for them; `isWaiting` tells, and whoever writes is refused meanwhile.
// - A write that fails for another reason, or finds no room while the database is opened or closed, makes the file
//   system dead: from that moment every change of a file is dropped and called a success. What is on the disk is then
//   just what it would be had the machine stopped at that moment, and the database must be opened anew to be used
//   again. Whatever RocksDB believes meanwhile, nothing it writes can destroy what it knew before.
//
// Compactions are not what frees space soon, so they never touch what is set aside.

#ifndef SOLIDUS_PATIENT_FILES_H
#define SOLIDUS_PATIENT_FILES_H

#include <rocksdb/file_system.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

/// What all files of one database share.
class Patience {
public:
    /// - set_aside_path: the file that keeps room.
    Patience(std::string set_aside_path, uint64_t set_aside_bytes);
    ~Patience();

    Patience(const Patience &) = delete;
    Patience &operator=(const Patience &) = delete;

    /// Runs `change`, which returns 0 or an errno, until it succeeds; drops it once the file system is dead.
    void run(bool may_use_set_aside, const std::function<int()> &change);

    bool isDead() const { return dead_.load(std::memory_order_acquire); }
    /// The errno of the write that failed first.
    int failure() const { return failure_.load(std::memory_order_acquire); }
    /// Whether something other than a compaction waits for room.
    bool isWaiting() const { return waiting_.load(std::memory_order_acquire) > 0; }

    /// While impatient, what finds no room fails instead of waiting.
    void setImpatient(bool impatient);

    uint64_t release(uint64_t bytes);
    void replenish();

private:
    void die(int code);

    std::atomic<bool> dead_{false};
    std::atomic<int> failure_{0};
    std::atomic<int> waiting_{0};

    std::mutex mutex_;
    std::condition_variable changed_;
    bool impatient_ = true;
    int set_aside_file_ = -1;
    uint64_t set_aside_ = 0;
    const uint64_t set_aside_target_;
    const std::string set_aside_path_;
};

/// The file system on top of the default one.
std::shared_ptr<rocksdb::FileSystem> makePatientFileSystem(std::shared_ptr<Patience> patience);

#endif
