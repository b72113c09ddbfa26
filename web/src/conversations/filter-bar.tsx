import { Button, Group, Select, TextInput } from "@mantine/core";
import { DatePickerInput } from "@mantine/dates";
import { useDebouncedCallback } from "@mantine/hooks";
import { IconSearch, IconX } from "@tabler/icons-react";
import { useState, type RefObject } from "react";
import { useTranslation } from "react-i18next";

import { DIRECTIONS, PERIODS, STATES, type Filters, type Period } from "./filters";
import classes from "./list.module.css";

interface Props {
  filters: Filters;
  change: (changed: Partial<Filters>) => void;
  clear: () => void;
  filtered: boolean;
  searchField: RefObject<HTMLInputElement | null>;
}

export function FilterBar({ filters, change, clear, filtered, searchField }: Props) {
  const { t, i18n } = useTranslation();
  const [number, setNumber] = useState(filters.number);
  const search = useDebouncedCallback((text: string) => change({ number: text.trim() }), 250);
  const [known, setKnown] = useState(filters.number);
  if (known !== filters.number) {
    // The address changed (back, clear): show it, but leave what is being typed alone.
    setKnown(filters.number);
    if (number.trim() !== filters.number) setNumber(filters.number);
  }
  const periods: Record<Period, string> = {
    any: t("list.anyTime"),
    today: t("list.today"),
    week: t("list.week"),
    month: t("list.month"),
    custom: t("list.custom"),
  };
  return (
    <Group gap="xs" className={classes.filters} role="search">
      <TextInput
        ref={searchField}
        className={classes.search}
        aria-label={t("list.search")}
        placeholder={t("list.search")}
        leftSection={<IconSearch size={16} />}
        maxLength={255}
        value={number}
        onChange={(event) => {
          setNumber(event.currentTarget.value);
          search(event.currentTarget.value);
        }}
        onKeyDown={(event) => {
          if (event.key === "Escape") event.currentTarget.blur();
        }}
      />
      <Select
        aria-label={t("list.period")}
        allowDeselect={false}
        data={PERIODS.map((value) => ({ value, label: periods[value] }))}
        value={filters.period}
        onChange={(value) => change({ period: value ?? "any" })}
        w={150}
      />
      {filters.period === "custom" && (
        <DatePickerInput
          type="range"
          allowSingleDateInRange
          aria-label={t("list.custom")}
          placeholder={t("list.custom")}
          valueFormatter={({ date }) => {
            const write = new Intl.DateTimeFormat(i18n.language, { dateStyle: "medium" });
            const days = (Array.isArray(date) ? date : [date]).filter((day): day is string => Boolean(day));
            return days.map((day) => write.format(new Date(`${day}T00:00:00`))).join(" – ");
          }}
          value={[filters.from || null, filters.to || null]}
          onChange={([from, to]) => change({ from: from ?? "", to: to ?? "" })}
          w={230}
        />
      )}
      <Select
        aria-label={t("list.state")}
        allowDeselect={false}
        data={[
          { value: "", label: t("list.anyState") },
          ...STATES.map((value) => ({ value, label: t(`state.${value}`) })),
        ]}
        value={filters.state}
        onChange={(value) => change({ state: value ?? "" })}
        w={140}
      />
      <Select
        aria-label={t("list.direction")}
        allowDeselect={false}
        data={[
          { value: "", label: t("list.anyDirection") },
          ...DIRECTIONS.map((value) => ({ value, label: t(`direction.${value}`) })),
        ]}
        value={filters.direction}
        onChange={(value) => change({ direction: value ?? "" })}
        w={150}
      />
      <Select
        aria-label={t("list.problem")}
        allowDeselect={false}
        data={[
          { value: "", label: t("list.anyProblem") },
          { value: "any", label: t("list.someProblem") },
          ...(["one_way", "silent", "gaps", "odd_metadata"] as const).map((value) => ({
            value,
            label: t(`problem.${value}.title`),
          })),
        ]}
        value={filters.problem}
        onChange={(value) => change({ problem: value ?? "" })}
        w={165}
      />
      {filtered && (
        <Button variant="subtle" color="gray" leftSection={<IconX size={15} />} onClick={clear}>
          {t("list.clear")}
        </Button>
      )}
    </Group>
  );
}
