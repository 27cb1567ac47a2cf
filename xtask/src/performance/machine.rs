//! What the benches ran on, without a word of whose machine it is.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Processor, cores, memory, kernel, and what the disk under a folder is; what cannot be found out is left out.
pub(super) fn hardware(folder: &Path) -> BTreeMap<String, String> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let (cpu, kernel) = (read("/proc/cpuinfo"), read("/proc/sys/kernel/osrelease"));
    let found = [
        ("cpu", model(&cpu)),
        ("cores", Some(cores(&cpu)).filter(|count| *count > 0).map(|count| count.to_string())),
        ("memory", memory(&read("/proc/meminfo"))),
        ("kernel", version(&kernel).map(|version| format!("Linux {version}"))),
        ("disk", disk(&read("/proc/self/mounts"), folder)),
    ];
    found.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

fn model(cpuinfo: &str) -> Option<String> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    line.split_once(':').map(|(_, model)| model.trim().to_owned())
}

fn cores(cpuinfo: &str) -> usize {
    cpuinfo.lines().filter(|line| line.starts_with("processor")).count()
}

fn memory(meminfo: &str) -> Option<String> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(format!("{} GiB", kibibytes.div_ceil(1024 * 1024)))
}

/// The numbers of a kernel, without the name that its builder gave it.
fn version(release: &str) -> Option<String> {
    let numbers = release.trim().split(['-', '+', '_']).next()?;
    (!numbers.is_empty()).then(|| numbers.to_owned())
}

/// File system and kind of device of the mount that a folder lies on.
fn disk(mounts: &str, folder: &Path) -> Option<String> {
    let (device, system) = mounts
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            let (device, place, system) = (words.next()?, words.next()?, words.next()?);
            folder.starts_with(place).then_some((place.len(), device, system))
        })
        // Of mounts on one place the last one is seen.
        .max_by_key(|(depth, ..)| *depth)
        .map(|(_, device, system)| (device, system))?;
    let name = device.rsplit('/').next().unwrap_or_default();
    let kinds = [("nvme", "NVMe"), ("vd", "a virtual disk"), ("xvd", "a virtual disk"), ("sd", "SATA or SCSI")];
    let kind = kinds.iter().find(|(start, _)| device.starts_with("/dev/") && name.starts_with(start));
    Some(kind.map_or_else(|| system.to_owned(), |(_, kind)| format!("{system} on {kind}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_is_described_by_its_parts() {
        let cpu = "processor\t: 0\nmodel name\t: A Chip\nprocessor\t: 1\nmodel name\t: A Chip\n";
        assert_eq!((model(cpu).as_deref(), cores(cpu)), (Some("A Chip"), 2));
        assert_eq!(memory("MemTotal:       24684100 kB\nMemFree: 1 kB\n").as_deref(), Some("24 GiB"));
        assert_eq!(version("6.18.44-somebody-v5\n").as_deref(), Some("6.18.44"));
        assert_eq!((model(""), memory(""), version("")), (None, None, None));
    }

    #[test]
    fn the_disk_is_that_of_the_nearest_mount() {
        let mounts = "overlay / overlay rw 0 0\n/dev/nvme0n1p2 /srv ext4 rw 0 0\ntmpfs /srv/quick tmpfs rw 0 0\n";
        let of = |folder: &str| disk(mounts, Path::new(folder)).expect("a mount");
        assert_eq!([of("/srv/a"), of("/srv/quick/a"), of("/other")], ["ext4 on NVMe", "tmpfs", "overlay"]);
        assert_eq!(
            disk("/dev/vda / ext4 rw\n/dev/sda1 / xfs rw\n", Path::new("/a")).as_deref(),
            Some("xfs on SATA or SCSI")
        );
    }
}
