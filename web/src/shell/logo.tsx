import { Group, Text } from "@mantine/core";

/** The mark: a waveform of four bars on a rounded square, and the name. */
export function Logo({ size = 26 }: { size?: number }) {
  return (
    <Group gap={10} wrap="nowrap">
      <svg width={size} height={size} viewBox="0 0 32 32" aria-hidden="true">
        <rect width="32" height="32" rx="8" fill="var(--accent-solid)" />
        <g stroke="#fff" strokeWidth="2.6" strokeLinecap="round">
          <path d="M8 13.5v5M13.3 9v14M18.7 11.5v9M24 14.5v3" />
        </g>
      </svg>
      <Text fw={650} fz={size * 0.66} lh={1} component="span" style={{ letterSpacing: "-0.02em" }}>
        Callward
      </Text>
    </Group>
  );
}
