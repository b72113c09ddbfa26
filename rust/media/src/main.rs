fn main() { println!("callward-media"); }
